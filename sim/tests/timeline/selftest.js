// Uses the page as a person does, and leaves what came of it in the page.
"use strict";
{
  const { data } = timeline, by = (id) => document.getElementById(id), lanes = by("lanes");
  const result = { paint: timeline.paint, lanes: data.lanes.map((lane) => lane.name), drawn: { ...timeline.drawn } };
  const size = () => { timeline.draw(); return timeline.view.to - timeline.view.from; };
  const at = (type, x, y, more) => {
    const place = lanes.getBoundingClientRect();
    const event = type === "wheel" ? WheelEvent : PointerEvent;
    lanes.dispatchEvent(new event(type, { clientX: place.left + x, clientY: place.top + y, bubbles: true, cancelable: true, ...more }));
  };
  const key = (key, target = document.body) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

  const whole = size();
  at("wheel", 600, 100, { deltaY: -100 });
  result.wheel = size() / whole;
  key("0"); key("+");
  result.keyboard = size() / whole;
  const left = timeline.view.from;
  key("ArrowRight");
  result.right = (timeline.view.from - left) / size();
  key("ArrowLeft");
  at("pointerdown", 600, 100); at("pointermove", 500, 100); at("pointerup", 500, 100);
  result.dragged = (timeline.view.from - left) / size();
  by("in").click();
  result.button = size() / whole;
  by("fit").click();
  result.fit = size() / whole;
  at("pointerdown", 300, 5); at("pointermove", 500, 5); at("pointerup", 500, 5);
  result.axis = size() / whole;

  // The window is at one end; a match at the other brings it there.
  result.searches = {};
  for (const text of ["job-finished", "worker-3", "no such thing"]) {
    by("fit").click(); timeline.draw();
    for (let times = 0; times < 6; times += 1) by("in").click();
    timeline.draw();
    by("search").value = text;
    by("search").dispatchEvent(new Event("input"));
    key("Enter", by("search"));
    timeline.draw();
    const entry = timeline.matches.length ? data.entries[timeline.chosen] : null;
    const isShown = entry !== null && entry.at >= timeline.view.from && entry.at <= timeline.view.to;
    const isListed = entry !== null && [...document.querySelectorAll("#rows .chosen")].some((it) => it.textContent === entry.line);
    result.searches[text] = { found: timeline.matches.length, line: entry?.line ?? "", isShown, isListed };
  }

  const fault = data.entries.findIndex((entry) => entry.name === "FAULT");
  by("fit").click(); timeline.draw();
  if (fault >= 0) {
    const { x, y } = timeline.placeOf(fault);
    at("pointermove", x, y);
    result.tip = by("tip").hidden ? "" : by("tip").textContent;
    result.fault = data.entries[fault].line;
  }

  by("messages").click(); timeline.draw();
  result.messages = timeline.drawn.messages;
  by("routine").click();
  result.count = by("count").textContent;
  const began = performance.now();
  for (let times = 0; times < 5; times += 1) timeline.draw();
  result.draw = (performance.now() - began) / 5;
  result.failures = failures;
  result.isTextClosed = !by("text").open;
  const place = document.createElement("script");
  place.type = "application/json";
  place.id = "selftest";
  place.textContent = JSON.stringify(result).replaceAll("<", "\\u003c");
  document.body.append(place);
}
