// Draws a run from the data of its page. Only what is in view is drawn, so a long run is as quick as a short one.
"use strict";
const timeline = (() => {
  const began = performance.now();
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const lanes = by("lanes"), overview = by("overview"), tip = by("tip"), list = by("list");
  const GUTTER = 176, AXIS = 26, RIGHT = 14, PAD = 5, LINE = 19, LIST = 200, WINDOW_MIN = 20;
  // More of them are no picture.
  const MESSAGES_MAX = 3000;
  const end = Math.max(data.end, 1000);
  const whole = { from: -0.012 * end, to: 1.03 * end };
  const spans = { fault: [], crash: [], pause: [], trouble: [], attempt: [], recovery: [], checkpoint: [], subtask: [], barrier: [] };
  for (const span of data.spans) spans[span.kind].push(span);
  for (const kind of Object.values(spans)) kind.sort((one, other) => one.from - other.from);
  const laneOf = new Map(data.lanes.map((lane, index) => [lane.name, index]));

  let view = { ...whole };
  let chosen = null, hits = [], drawn = {}, isScheduled = false, hasMessages = false;
  let matches = [], isFound = new Set(), listed = [];
  let colour = {}, rowHeight = 20, tops = [], width = 0, height = 0, pencil = null;

  // Time and place.
  const xOf = (at) => GUTTER + (at - view.from) / (view.to - view.from) * (width - GUTTER - RIGHT);
  const atOf = (x) => view.from + (x - GUTTER) / (width - GUTTER - RIGHT) * (view.to - view.from);
  const laneHeight = (lane) => data.lanes[lane].rows.length * rowHeight + 2 * PAD;
  const yOf = (lane, row) => tops[lane] + PAD + row * rowHeight;
  const isInView = (from, to) => to >= view.from && from <= view.to;
  const endOf = (span) => span.to ?? end;
  const seconds = (at, digits = 6) => (at / 1e6).toFixed(digits);
  const lasting = (micros) => micros >= 1e6 ? `${(micros / 1e6).toFixed(2)} s` : micros >= 1000 ? `${(micros / 1000).toFixed(1)} ms` : `${micros} µs`;

  /** The first index whose entry is not before `at`; entries are in order. */
  function firstFrom(at) {
    let low = 0, high = data.entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (data.entries[middle].at < at) low = middle + 1; else high = middle;
    }
    return low;
  }

  // Colours and surfaces.
  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["back", "panel", "text", "soft", "line", "faint", "fault", "fault-back", "good", "good-back", "bad", "recovery", "recovery-back", "attempt-odd", "attempt-even", "barrier", "commit", "message", "found", "accent"])
      colour[name] = style.getPropertyValue(`--${name}`).trim();
  }

  function prepare(canvas, wide, high) {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    canvas.style.height = `${high}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    return context;
  }

  // Shapes: what a colour says, a shape says too. Each is drawn around a middle point.
  function shape(draw, mark, x, y) {
    draw.lineWidth = 1.6;
    draw.beginPath();
    switch (mark) {
      case "fault": case "bad":
        draw.strokeStyle = colour.fault;
        draw.lineWidth = 2.2;
        draw.moveTo(x - 4, y - 4); draw.lineTo(x + 4, y + 4);
        draw.moveTo(x + 4, y - 4); draw.lineTo(x - 4, y + 4);
        draw.stroke();
        break;
      case "heal":
        draw.strokeStyle = colour.good; draw.fillStyle = colour.back;
        draw.arc(x, y, 4, 0, 7); draw.fill(); draw.stroke();
        break;
      case "good":
        draw.strokeStyle = colour.good;
        draw.lineWidth = 2.2;
        draw.moveTo(x - 4, y); draw.lineTo(x - 1, y + 3.5); draw.lineTo(x + 4.5, y - 4); draw.stroke();
        break;
      case "commit": case "precommit":
        draw.strokeStyle = draw.fillStyle = colour.commit;
        draw.moveTo(x, y - 5); draw.lineTo(x + 4.5, y); draw.lineTo(x, y + 5); draw.lineTo(x - 4.5, y); draw.closePath();
        if (mark === "commit") draw.fill();
        draw.stroke();
        break;
      case "turn":
        draw.fillStyle = colour.text;
        draw.moveTo(x - 3, y - 4.5); draw.lineTo(x + 4.5, y); draw.lineTo(x - 3, y + 4.5); draw.fill();
        break;
      default:
        draw.strokeStyle = colour.soft;
        draw.lineWidth = 1;
        draw.moveTo(x, y - 3); draw.lineTo(x, y + 3); draw.stroke();
    }
  }

  function hatch(draw, x, y, wide, high, ink, gap = 6) {
    draw.save();
    draw.beginPath(); draw.rect(x, y, wide, high); draw.clip();
    draw.beginPath();
    draw.strokeStyle = ink; draw.lineWidth = 1;
    // Lines stand still while the view moves by whole gaps, and there are no more than fit the surface.
    for (let at = x - high - ((x - high) % gap); at < x + wide; at += gap) { draw.moveTo(at, y + high); draw.lineTo(at + high, y); }
    draw.stroke();
    draw.restore();
  }

  function box(draw, x, y, wide, high, back, edge, isDashed = false) {
    draw.beginPath();
    draw.roundRect(x, y, wide, high, Math.min(3, wide / 2));
    if (back) { draw.fillStyle = back; draw.fill(); }
    if (edge) {
      draw.strokeStyle = edge; draw.lineWidth = 1.2;
      draw.setLineDash(isDashed ? [3, 3] : []); draw.stroke(); draw.setLineDash([]);
    }
  }

  const bar = {
    fault(draw, x, y, wide, high) { box(draw, x, y, wide, high, colour["fault-back"], colour.fault); },
    attempt(draw, x, y, wide, high, span) { box(draw, x, y, wide, high, colour[span.number % 2 ? "attempt-odd" : "attempt-even"]); },
    recovery(draw, x, y, wide, high, span) {
      box(draw, x, y, wide, high, colour["recovery-back"]);
      hatch(draw, x, y, wide, high, colour.recovery);
      box(draw, x, y, wide, high, null, colour.recovery, span.ending === "open");
    },
    checkpoint(draw, x, y, wide, high, span) {
      const [back, edge] = { good: [colour["good-back"], colour.good], bad: [colour["fault-back"], colour.fault], lost: [null, colour.fault], open: [null, colour.soft] }[span.ending];
      box(draw, x, y, wide, high, back, edge, span.ending === "lost" || span.ending === "open");
      if (span.ending === "bad" && wide > 4) hatch(draw, x, y, wide, high, colour.fault, 5);
    },
    subtask(draw, x, y, wide, high, span) { box(draw, x, y, wide, high, colour[span.number % 2 ? "attempt-odd" : "attempt-even"]); },
    barrier(draw, x, y, wide, high, span, turn) {
      // Alignment is thick, writing is thin, and a bar at the end says durable.
      const ink = span.ending === "bad" ? colour.fault : colour.barrier, middle = y + high / 2;
      draw.fillStyle = draw.strokeStyle = ink;
      const taken = Math.min(turn ?? x + wide, x + wide);
      if (taken > x) draw.fillRect(x, middle - 3, Math.max(taken - x, 2), 6);
      draw.fillRect(taken, middle - 1, Math.max(x + wide - taken, 1), 2);
      if (span.ending === "good") draw.fillRect(x + wide - 1, middle - 5, 2, 10);
      if (span.ending === "bad") shape(draw, "bad", x + wide, middle);
    },
    crash(draw, x, y, wide, high) { draw.fillStyle = colour["fault-back"]; draw.fillRect(x, y, wide, high); hatch(draw, x, y, wide, high, colour.fault, 7); },
    pause(draw, x, y, wide, high) {
      draw.fillStyle = colour["recovery-back"]; draw.fillRect(x, y, wide, high);
      draw.strokeStyle = colour.recovery; draw.lineWidth = 1; draw.beginPath();
      for (let at = x + 5 - (x % 9); at < x + wide; at += 9) { if (at < x) continue; draw.moveTo(at, y); draw.lineTo(at, y + high); }
      draw.stroke();
    },
    trouble(draw, x, y, wide) {
      draw.strokeStyle = colour.fault; draw.lineWidth = 3; draw.setLineDash([7, 4]);
      draw.beginPath(); draw.moveTo(x, y + 1.5); draw.lineTo(x + wide, y + 1.5); draw.stroke(); draw.setLineDash([]);
    },
  };

  /** A message: from a dot to an arrow, or broken off. */
  function arrow(draw, x1, y1, x2, y2, isLost) {
    draw.strokeStyle = draw.fillStyle = isLost ? colour.fault : colour.message;
    draw.lineWidth = 1.2;
    draw.setLineDash(isLost ? [4, 3] : []);
    draw.beginPath(); draw.moveTo(x1, y1); draw.lineTo(x2, y2); draw.stroke(); draw.setLineDash([]);
    draw.beginPath(); draw.arc(x1, y1, 2.2, 0, 7); draw.fill();
    if (isLost) return shape(draw, "fault", x2, y2);
    const angle = Math.atan2(y2 - y1, x2 - x1);
    draw.beginPath(); draw.moveTo(x2, y2);
    for (const turn of [-0.35, 0.35]) draw.lineTo(x2 - 7 * Math.cos(angle + turn), y2 - 7 * Math.sin(angle + turn));
    draw.fill();
  }

  // Words never cover words: each row keeps what is taken.
  let taken = new Map();
  const sizes = new Map();
  function sizeOf(text) {
    let size = sizes.get(text);
    if (size === undefined) sizes.set(text, size = pencil.measureText(text).width);
    return size;
  }
  function take(key, from, to) {
    let row = taken.get(key);
    if (!row) taken.set(key, row = []);
    row.push([from, to]);
  }
  const isFree = (key, from, to) => !(taken.get(key) ?? []).some(([left, right]) => from < right && to > left);
  /** Writes as much as there is room for, at least `least` pixels of it, and readable over hatching. */
  function write(key, text, x, y, room, ink, least = 46, ground = null) {
    const free = (taken.get(key) ?? []).reduce((free, [left, right]) => right <= x ? free : Math.min(free, left - x), Math.min(room, width - x));
    let shown = text;
    if (sizeOf(text) > free) {
      if (free < least) return false;
      let size = 3, tooLong = text.length;
      while (tooLong - size > 1) {
        const middle = (size + tooLong) >> 1;
        if (sizeOf(`${text.slice(0, middle)}…`) <= free) size = middle; else tooLong = middle;
      }
      shown = `${text.slice(0, size)}…`;
      if (sizeOf(shown) > free) return false;
    }
    if (ground) { pencil.strokeStyle = ground; pencil.lineWidth = 5; pencil.lineJoin = "round"; pencil.strokeText(shown, x, y); }
    pencil.fillStyle = ink;
    pencil.fillText(shown, x, y);
    take(key, x, x + sizeOf(shown));
    return true;
  }

  /** Draws the spans of a kind, and keeps where they are. */
  function drawSpans(kind, label) {
    let count = 0;
    const labels = [];
    for (const span of spans[kind]) {
      if (span.from > view.to) break;
      const to = endOf(span);
      if (to < view.from) continue;
      count += 1;
      const isWhole = kind === "crash" || kind === "pause" || kind === "trouble";
      const left = Math.max(xOf(span.from), GUTTER - 4), right = Math.min(xOf(to), width + 4);
      const y = isWhole ? tops[span.lane] + 1 : yOf(span.lane, span.row) + 2, high = isWhole ? laneHeight(span.lane) - 2 : rowHeight - 4;
      const wide = Math.max(right - left, 2);
      const isPoint = kind === "fault" && span.to === span.from;
      if (!isPoint) bar[kind](pencil, left, y, wide, high, span, span.turn === null ? null : Math.max(xOf(span.turn), left));
      hits.push({ x: left - 2, y, right: left + wide + 2, bottom: y + (kind === "trouble" ? 6 : high), span });
      if (label) labels.push([span, left, wide, y + high / 2, isPoint]);
    }
    for (const [span, left, wide, middle, isPoint] of labels) label(span, Math.max(left, GUTTER), Math.min(left + wide, width) - Math.max(left, GUTTER), middle, isPoint);
    drawn[kind] = count;
  }

  const sign = { good: " ✓", bad: " ✗", lost: " ✗ lost", open: " …" };
  const keyOf = (span) => `${span.lane}/${span.row}`;
  function inside(text, ink) {
    return (span, left, wide, middle) => write(keyOf(span), text(span), left + 5, middle, wide - 8, ink(), 30);
  }

  const outage = (text, ink) => (span, left, wide) => {
    const middle = yOf(span.lane, 0) + rowHeight / 2;
    if (wide > sizeOf(text) + 12) write(`${span.lane}/0`, text, left + (wide - sizeOf(text)) / 2, middle, wide, colour[ink], 0, colour[`${ink}-back`]);
  };

  function draw() {
    isScheduled = false;
    width = lanes.parentElement.clientWidth;
    const rows = data.lanes.reduce((sum, lane) => sum + lane.rows.length, 0);
    // The list below keeps its place, as long as rows stay readable.
    const room = innerHeight - by("scroll").offsetTop - by("legend").offsetHeight - LIST - AXIS - data.lanes.length * 2 * PAD;
    rowHeight = Math.max(16, Math.min(26, Math.floor(room / rows)));
    tops = [];
    let top = AXIS;
    for (let lane = 0; lane < data.lanes.length; lane += 1) { tops.push(top); top += laneHeight(lane); }
    height = top;
    pencil = prepare(lanes, width, height);
    pencil.textBaseline = "middle";
    const font = 'system-ui, "DejaVu Sans", sans-serif';
    pencil.font = `12px ${font}`;
    hits = []; drawn = {}; taken = new Map();

    // The ground: lanes and time.
    pencil.fillStyle = colour.back; pencil.fillRect(0, 0, width, height);
    for (let lane = 0; lane < data.lanes.length; lane += 1) {
      if (lane % 2 === 0) { pencil.fillStyle = colour.panel; pencil.fillRect(0, tops[lane], width, laneHeight(lane)); }
    }
    drawAxis();

    pencil.save();
    pencil.beginPath(); pencil.rect(GUTTER, AXIS, width - GUTTER, height - AXIS); pencil.clip();
    drawSpans("crash", outage("no power", "fault"));
    drawSpans("pause", outage("paused", "recovery"));
    drawSpans("trouble");
    drawSpans("subtask");
    drawSpans("attempt", inside((span) => span.label + (span.ending === "bad" || span.ending === "lost" ? " ✗" : span.ending === "good" ? " ✓" : ""), () => colour.text));
    drawSpans("recovery");
    drawSpans("checkpoint");
    drawSpans("fault");
    drawSpans("barrier");
    drawn.marks = drawMarks();
    // Beside a span that is too short for words, before others take the room.
    words("recovery", (span) => `${lasting(endOf(span) - span.from)}: ${span.label}`, "recovery");
    words("fault", (span) => span.label, "fault");
    words("checkpoint", (span) => span.label + sign[span.ending], "text");
    nameAttempts();
    drawn.messages = hasMessages ? drawMessages() : 0;
    drawChosen();
    pencil.restore();
    drawGutter(font);
    drawOverview();
    showList();
    by("window").textContent = `${seconds(Math.max(view.from, 0), 3)} to ${seconds(Math.min(view.to, end), 3)} s`;
    lanes.dataset.drawn = JSON.stringify(drawn);
  }

  /** Words inside their span where they fit, else beside it, else as many as fit inside. */
  function words(kind, text, ink) {
    const nextIn = new Map();
    for (const span of spans[kind].toReversed()) {
      const next = nextIn.get(span.row);
      nextIn.set(span.row, span);
      if (!isInView(span.from, endOf(span))) continue;
      const left = Math.max(xOf(span.from), GUTTER), right = Math.max(Math.min(xOf(endOf(span)), width), left + 2);
      const said = text(span), middle = yOf(span.lane, span.row) + rowHeight / 2, key = keyOf(span);
      const beside = (next ? xOf(next.from) : width) - right - 12, inside = right - left - 10;
      const ground = span.ending === "bad" || span.ending === "lost" || kind === "recovery" ? colour[`${kind === "recovery" ? kind : "fault"}-back`] : null;
      if (sizeOf(said) <= inside) write(key, said, left + 6, middle, inside, colour[ink], 0, ground);
      else if (kind === "checkpoint" ? beside >= sizeOf(said) : beside > Math.min(inside, sizeOf(said))) write(key, said, right + (kind === "fault" ? 8 : 4), middle, beside, colour[ink], Math.min(46, sizeOf(said)));
      else if (kind === "checkpoint") {
        const number = String(span.number), isBeside = sizeOf(number) <= beside;
        write(key, number, isBeside ? right + 3 : left + 3, middle, isBeside ? beside : inside + 6, colour[ink], sizeOf(number), isBeside ? null : ground);
      }
      else write(key, said, left + 6, middle, inside, colour[ink]);
    }
  }

  /** In a worker's first row: which attempt begins below. */
  function nameAttempts() {
    const named = new Set();
    for (const span of spans.subtask) {
      const key = `${span.lane}/0`, x = Math.max(xOf(span.from), GUTTER) + 2;
      if (named.has(`${key}/${span.number}`) || !isInView(span.from, endOf(span))) continue;
      named.add(`${key}/${span.number}`);
      if (isFree(key, x, x + sizeOf(span.label))) write(key, span.label, x, yOf(span.lane, 0) + rowHeight / 2, sizeOf(span.label) + 1, colour.soft);
    }
  }

  function drawAxis() {
    const room = (view.to - view.from) / Math.max((width - GUTTER) / 110, 1);
    const power = 10 ** Math.floor(Math.log10(room));
    const step = Math.max([1, 2, 5, 10].map((it) => it * power).find((it) => it >= room), 1);
    const digits = Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(step))));
    pencil.fillStyle = colour.soft;
    for (let at = Math.ceil(Math.max(view.from, 0) / step) * step; at <= view.to; at += step) {
      const x = Math.round(xOf(at)) + 0.5;
      pencil.strokeStyle = colour.line; pencil.lineWidth = 1;
      pencil.beginPath(); pencil.moveTo(x, AXIS - 5); pencil.lineTo(x, height); pencil.stroke();
      const text = `${seconds(at, digits)} s`;
      if (x + sizeOf(text) / 2 < width) pencil.fillText(text, x - sizeOf(text) / 2, 11);
    }
  }

  function drawGutter(font) {
    pencil.fillStyle = colour.back; pencil.fillRect(0, 0, GUTTER - 1, AXIS);
    pencil.fillStyle = colour.soft; pencil.font = `11px ${font}`;
    pencil.fillText("virtual time", 10, 11);
    data.lanes.forEach((lane, index) => {
      pencil.fillStyle = index % 2 ? colour.back : colour.panel;
      pencil.fillRect(0, tops[index], GUTTER - 1, laneHeight(index));
      pencil.font = `bold 13px ${font}`; pencil.fillStyle = colour.text;
      pencil.fillText(lane.name, 10, yOf(index, 0) + rowHeight / 2);
      pencil.font = `11px ${font}`; pencil.fillStyle = colour.soft;
      lane.rows.forEach((row, number) => {
        if (number > 0 && row === lane.rows[number - 1]) return;
        let text = row;
        while (pencil.measureText(text).width > (number ? GUTTER - 24 : 66) && text.length > 4) text = `${text.slice(0, -2)}…`;
        pencil.fillText(text, GUTTER - 10 - pencil.measureText(text).width, yOf(index, number) + rowHeight / 2);
      });
      pencil.strokeStyle = colour.line; pencil.lineWidth = 1;
      pencil.beginPath(); pencil.moveTo(0, tops[index] + 0.5); pencil.lineTo(width, tops[index] + 0.5); pencil.stroke();
    });
    pencil.strokeStyle = colour.line;
    pencil.beginPath(); pencil.moveTo(GUTTER - 0.5, 0); pencil.lineTo(GUTTER - 0.5, height); pencil.stroke();
    pencil.font = `12px ${font}`;
  }

  /** Marks in view; of those in one place the gravest, which comes last. */
  function drawMarks() {
    const order = ["step", "turn", "precommit", "commit", "good", "heal", "bad", "fault"];
    const layers = new Map(order.map((it) => [it, []]));
    const last = firstFrom(view.to + 1);
    for (let index = firstFrom(view.from); index < last; index += 1) layers.get(data.entries[index].mark).push(index);
    const found = [], names = [];
    for (const mark of order) {
      const before = new Map();
      for (const index of layers.get(mark)) {
        const entry = data.entries[index], x = xOf(entry.at), y = yOf(entry.lane, entry.row) + rowHeight / 2, key = entry.lane * 1000 + entry.row;
        if (isFound.has(index)) found.push([x, y]);
        if (before.has(key) && x - before.get(key) < 1.5) continue;
        before.set(key, x);
        // A checkpoint's bar says itself how it ended.
        const isSaid = entry.name === "checkpoint-completed" || entry.name === "checkpoint-aborted";
        if (!isSaid) shape(pencil, mark, x, y);
        if (mark === "heal" && entry.line.includes("  everything: ")) {
          pencil.strokeStyle = colour.good; pencil.lineWidth = 1.5; pencil.setLineDash([6, 4]);
          pencil.beginPath(); pencil.moveTo(x, AXIS); pencil.lineTo(x, height); pencil.stroke(); pencil.setLineDash([]);
          write("0/0", "everything heals: liveness phase", x + 8, y, width - x, colour.good);
        }
        hits.push({ x: x - 5, y: y - 7, right: x + 5, bottom: y + 7, index });
        if (entry.row === 0 && entry.lane > 0) {
          take(`${entry.lane}/0`, x - 5, x + 5);
          if (mark !== "step") names.push([index, x, y]);
        }
      }
    }
    // The names of the gravest first.
    for (const [index, x, y] of names.reverse()) {
      const entry = data.entries[index], key = `${entry.lane}/0`;
      if (isFree(key, x + 6, x + 12 + sizeOf(entry.name))) write(key, entry.name, x + 8, y, sizeOf(entry.name) + 6, entry.mark === "bad" ? colour.fault : colour.text);
    }
    pencil.strokeStyle = colour.found; pencil.lineWidth = 2;
    for (const [x, y] of found) { pencil.beginPath(); pencil.arc(x, y, 8, 0, 7); pencil.stroke(); }
    return last - firstFrom(view.from);
  }

  function drawMessages() {
    const inView = data.messages.filter((it) => isInView(it.sent, it.arrives ?? it.sent));
    if (inView.length > MESSAGES_MAX) {
      pencil.fillStyle = colour.back; pencil.fillRect(GUTTER + 8, height - 24, 420, 20);
      pencil.fillStyle = colour.text; pencil.fillText(`${inView.length} messages in view: zoom in to see them`, GUTTER + 14, height - 14);
      return 0;
    }
    let count = 0;
    for (const message of inView) {
      const from = laneOf.get(message.from), to = laneOf.get(message.to);
      if (from === undefined || to === undefined) continue;
      count += 1;
      const y = (lane) => yOf(lane, 0) + rowHeight / 2, isLost = message.arrives === null;
      const x1 = xOf(message.sent), y1 = y(from);
      // A lost one breaks off on its way.
      const x2 = isLost ? x1 + 14 : xOf(message.arrives), y2 = isLost ? y1 + (y(to) - y1) * 0.6 : y(to);
      arrow(pencil, x1, y1, x2, y2, isLost);
      hits.push({ x: x2 - 5, y: y2 - 5, right: x2 + 5, bottom: y2 + 5, message });
    }
    return count;
  }

  function drawChosen() {
    if (chosen === null) return;
    const entry = data.entries[chosen], x = xOf(entry.at), y = yOf(entry.lane, entry.row) + rowHeight / 2;
    pencil.strokeStyle = colour.accent; pencil.lineWidth = 1;
    pencil.beginPath(); pencil.moveTo(x, AXIS); pencil.lineTo(x, height); pencil.stroke();
    pencil.lineWidth = 2.5; pencil.beginPath(); pencil.arc(x, y, 9, 0, 7); pencil.stroke();
  }

  function drawOverview() {
    const wide = overview.clientWidth, high = 32, pen = prepare(overview, wide, high);
    const x = (at) => (at - whole.from) / (whole.to - whole.from) * wide;
    pen.fillStyle = colour.panel; pen.fillRect(0, 0, wide, high);
    const row = (kind, y, tall, ink) => {
      let before = -9;
      for (const span of spans[kind]) {
        const left = x(span.from), right = Math.max(x(endOf(span)), left + 1.5);
        if (right - before < 0.5) continue;
        before = right;
        pen.fillStyle = ink(span); pen.fillRect(left, y, right - left, tall);
      }
    };
    row("attempt", 0, high, (span) => colour[span.number % 2 ? "attempt-odd" : "attempt-even"]);
    row("fault", 3, 7, () => colour.fault);
    row("recovery", 12, 7, () => colour.recovery);
    row("checkpoint", 21, 7, (span) => span.ending === "good" ? colour.good : colour.fault);
    pen.fillStyle = colour.found;
    for (const index of matches) pen.fillRect(x(data.entries[index].at), 0, 1.5, high);
    const left = x(view.from), right = x(view.to);
    pen.globalAlpha = 0.65; pen.fillStyle = colour.back;
    pen.fillRect(0, 0, left, high); pen.fillRect(right, 0, wide - right, high);
    pen.globalAlpha = 1; pen.strokeStyle = colour.accent; pen.lineWidth = 2;
    pen.strokeRect(Math.max(left, 0) + 1, 1, Math.max(Math.min(right, wide) - Math.max(left, 0) - 2, 2), high - 2);
  }

  function drawLegend() {
    const span = (ending, number = 1) => ({ ending, number });
    const marks = (mark) => (pen) => shape(pen, mark, 15, 8);
    const bars = (kind, of, turn = null) => (pen) => bar[kind](pen, 2, 2, 26, 12, of, turn);
    const items = [
      ["fault", bars("fault", span("good"))], ["fault at once, failure", marks("bad")], ["healed", marks("heal")],
      ["no power", bars("crash", span("good"))], ["paused", bars("pause", span("good"))], ["node suffers", bars("trouble", span("good"))],
      ["attempt, odd", bars("attempt", span("good", 1))], ["even", bars("attempt", span("good", 2))], ["recovery", bars("recovery", span("good"))],
      ["checkpoint completed", bars("checkpoint", span("good"))], ["aborted", bars("checkpoint", span("bad"))], ["lost with its leader", bars("checkpoint", span("lost"))],
      ["barrier: alignment, then writing", bars("barrier", span("good"), 16)],
      ["message", (pen) => arrow(pen, 3, 13, 27, 3, false)], ["lost", (pen) => arrow(pen, 3, 12, 24, 6, true)],
      ["pre-commit", marks("precommit")], ["commit", marks("commit")], ["achieved", marks("good")], ["begins, decided", marks("turn")], ["step", marks("step")],
    ];
    by("legend").replaceChildren(...items.map(([text, paint]) => {
      const item = document.createElement("li"), canvas = document.createElement("canvas");
      paint(prepare(canvas, 30, 16));
      item.append(canvas, text);
      return item;
    }));
  }

  // The list.
  function showList() {
    const isEvery = by("routine").checked, first = firstFrom(view.from), last = firstFrom(view.to + 1);
    listed = [];
    for (let index = first; index < last; index += 1) if (isEvery || !data.entries[index].routine || index === chosen) listed.push(index);
    by("count").textContent = isEvery ? `${last - first} events in view` : `${listed.length} of ${last - first} events in view`;
    by("rows").style.height = `${listed.length * LINE}px`;
    showRows();
  }
  function showRows() {
    const top = Math.max(0, Math.floor(list.scrollTop / LINE) - 5), bottom = top + Math.ceil(list.clientHeight / LINE) + 10;
    by("rows").replaceChildren(...listed.slice(top, bottom).map((index, number) => {
      const entry = data.entries[index], row = document.createElement("div");
      row.style.top = `${(top + number) * LINE}px`;
      row.textContent = entry.line;
      row.className = `${entry.mark}${isFound.has(index) ? " found" : ""}${index === chosen ? " chosen" : ""}`;
      row.dataset.index = index;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", index === chosen);
      return row;
    }));
  }

  // What can be done.
  function schedule() {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(draw);
  }
  function look(from, to) {
    const size = Math.min(Math.max(to - from, WINDOW_MIN), whole.to - whole.from);
    const left = Math.min(Math.max(from, whole.from), whole.to - size);
    view = { from: left, to: left + size };
    schedule();
  }
  function zoom(factor, around = (view.from + view.to) / 2) { look(around - (around - view.from) * factor, around + (view.to - around) * factor); }
  function move(share) { const far = share * (view.to - view.from); look(view.from + far, view.to + far); }
  function fit() { look(whole.from, whole.to); }
  function choose(index) {
    chosen = index;
    const { at, lane } = data.entries[index], size = view.to - view.from;
    if (at < view.from || at > view.to) look(at - size / 2, at + size / 2);
    schedule();
    showList();
    list.scrollTop = Math.max(0, listed.indexOf(index) * LINE - list.clientHeight / 2);
    showRows();
    const scroll = by("scroll");
    if (tops[lane] < scroll.scrollTop || tops[lane] + laneHeight(lane) > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = tops[lane] - AXIS;
  }
  function search(text) {
    const wanted = text.trim().toLowerCase();
    matches = [];
    if (wanted) data.entries.forEach((entry, index) => { if (entry.line.toLowerCase().includes(wanted)) matches.push(index); });
    isFound = new Set(matches);
    by("found").textContent = wanted ? `${matches.length} found` : "";
    schedule();
  }
  function jump(step) {
    if (matches.length === 0) return;
    const here = chosen ?? -1;
    const place = step > 0 ? matches.findIndex((it) => it > here) : matches.findLastIndex((it) => it < here);
    const index = place >= 0 ? place : step > 0 ? 0 : matches.length - 1;
    choose(matches[index]);
    by("found").textContent = `${index + 1} of ${matches.length}`;
  }
  function toggleMessages() {
    if (data.messages.length === 0) return;
    hasMessages = !hasMessages;
    by("messages").setAttribute("aria-pressed", hasMessages);
    schedule();
  }

  function hitAt(x, y) { return hits.findLast((it) => x >= it.x && x <= it.right && y >= it.y && y <= it.bottom); }
  function tell(hit) {
    const line = (index) => data.entries[index].line.trimStart();
    if (hit.index !== undefined) {
      const { x, y } = hit;
      const here = hits.filter((it) => it.index !== undefined && Math.abs(it.x - x) < 1.5 && it.y === y).map((it) => it.index).sort((one, other) => one - other);
      return here.slice(0, 12).map(line).join("\n") + (here.length > 12 ? `\nand ${here.length - 12} more` : "");
    }
    if (hit.message) {
      const { sent, arrives, from, to, bytes } = hit.message;
      return `message ${from} to ${to}, ${bytes} bytes, sent ${seconds(sent)}, ${arrives === null ? "never arrives" : `arrives after ${lasting(arrives - sent)}`}`;
    }
    const { span } = hit, kinds = { crash: "no power", pause: "paused", trouble: "suffers from", subtask: data.lanes[span.lane].rows[span.row], barrier: "barrier of checkpoint" };
    const length = span.to === null ? "to the end" : span.to === span.from ? "at once" : lasting(span.to - span.from);
    const title = `${span.kind === "attempt" ? "" : `${kinds[span.kind] ?? span.kind} `}${span.label}, ${length}`;
    return [title, line(span.first), ...(span.last === null || span.last === span.first ? [] : [line(span.last)])].join("\n");
  }
  function showTip(event) {
    const hit = hitAt(event.offsetX, event.offsetY);
    tip.hidden = !hit;
    if (!hit) return;
    tip.textContent = tell(hit);
    const { clientX, clientY } = event;
    tip.style.left = `${Math.max(4, Math.min(clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${clientY + 18 + tip.offsetHeight > innerHeight ? clientY - tip.offsetHeight - 12 : clientY + 18}px`;
  }

  function listen() {
    let drag = null;
    lanes.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) move((event.deltaX || event.deltaY) / 1000);
      else zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) / 300), atOf(Math.max(event.offsetX, GUTTER)));
    }, { passive: false });
    lanes.addEventListener("pointerdown", (event) => {
      drag = { x: event.offsetX, view, isAxis: event.offsetY < AXIS, hasMoved: false };
      if (event.isTrusted) lanes.setPointerCapture(event.pointerId);
    });
    lanes.addEventListener("pointermove", (event) => {
      if (!drag) return showTip(event);
      if (Math.abs(event.offsetX - drag.x) < 3 && !drag.hasMoved) return;
      drag.hasMoved = true;
      tip.hidden = true;
      if (drag.isAxis) { drag.to = event.offsetX; return; }
      lanes.classList.add("moving");
      const far = (drag.x - event.offsetX) / (width - GUTTER - RIGHT) * (drag.view.to - drag.view.from);
      look(drag.view.from + far, drag.view.to + far);
    });
    lanes.addEventListener("pointerup", (event) => {
      if (drag && !drag.hasMoved) {
        const hit = hitAt(event.offsetX, event.offsetY);
        if (hit && !hit.message) choose(hit.index ?? hit.span.first);
      } else if (drag?.isAxis && drag.to !== undefined) {
        const [from, to] = [drag.x, drag.to].sort((one, other) => one - other);
        look(atOf(from), atOf(to));
      }
      drag = null;
      lanes.classList.remove("moving");
    });
    lanes.addEventListener("pointerleave", () => { tip.hidden = true; });
    lanes.addEventListener("dblclick", (event) => zoom(0.4, atOf(event.offsetX)));
    let isMoving = false;
    const centre = (event) => {
      const at = whole.from + event.offsetX / overview.clientWidth * (whole.to - whole.from), size = view.to - view.from;
      look(at - size / 2, at + size / 2);
    };
    overview.addEventListener("pointerdown", (event) => { isMoving = true; if (event.isTrusted) overview.setPointerCapture(event.pointerId); centre(event); });
    overview.addEventListener("pointermove", (event) => { if (isMoving) centre(event); });
    overview.addEventListener("pointerup", () => { isMoving = false; });
    by("in").onclick = () => zoom(0.5);
    by("out").onclick = () => zoom(2);
    by("fit").onclick = fit;
    by("next").onclick = () => jump(1);
    by("previous").onclick = () => jump(-1);
    by("messages").onclick = toggleMessages;
    by("messages").disabled = data.messages.length === 0;
    if (data.messages.length === 0) by("messages").title = "No messages were recorded of this run";
    by("routine").onchange = showList;
    by("search").addEventListener("input", (event) => search(event.target.value));
    by("search").addEventListener("keydown", (event) => {
      if (event.key === "Enter") jump(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") { event.target.value = ""; search(""); event.target.blur(); }
    });
    list.addEventListener("scroll", showRows);
    list.addEventListener("click", (event) => { if (event.target.dataset.index) choose(Number(event.target.dataset.index)); });
    list.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      event.preventDefault();
      const next = listed[listed.indexOf(chosen) + (event.key === "ArrowDown" ? 1 : -1)];
      if (next !== undefined) choose(next);
    });
    document.addEventListener("keydown", (event) => {
      if (event.target.id === "search" || event.ctrlKey || event.metaKey || event.altKey) return;
      const actions = {
        "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": fit, "ArrowLeft": () => move(-0.2), "ArrowRight": () => move(0.2),
        "/": () => by("search").focus(), "n": () => jump(1), "N": () => jump(-1), "m": toggleMessages,
      };
      if (!actions[event.key]) return;
      event.preventDefault();
      actions[event.key]();
    });
    const restyle = () => { readColours(); drawLegend(); schedule(); };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
    addEventListener("resize", schedule);
  }

  by("text").open = false;
  by("app").hidden = false;
  readColours();
  drawLegend();
  listen();
  draw();
  const paint = performance.now() - began;
  const placeOf = (index) => ({ x: xOf(data.entries[index].at), y: yOf(data.entries[index].lane, data.entries[index].row) + rowHeight / 2 });
  return { data, paint, draw, placeOf, get view() { return view; }, get drawn() { return drawn; }, get chosen() { return chosen; }, get matches() { return matches; } };
})();
