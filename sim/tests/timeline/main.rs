//! The timeline in a real browser: Debian's `chromium`, without a window. It is used as a person does, by
//! `selftest.js`, which a test puts into the page. Where there is no browser the tests say so and pass.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use seawall_protocol::event::Event;
use seawall_sim::run;
use seawall_sim::scenario::Scenario;
use seawall_sim::timeline;
use seawall_sim::timeline::diagram::{self, Format};
use seawall_sim::trace::{Trace, What};
use seawall_sim::verdict::Verdict;
use seawall_sim::world::Message;
use serde_json::Value;

/// One browser at a time is enough for a small machine.
static TURN: Mutex<()> = Mutex::new(());

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn run_of(name: &str) -> (Scenario, Verdict) {
    let scenario = Scenario::load(&directory().join(format!("{name}.toml")));
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let verdict = run::run(&scenario, scenario.seeds[0]);
    (scenario, verdict)
}

/// What the browser prints when it opens `page`; `None`, with a line that says what to do, without one.
fn browse(page: &Path, arguments: &[&str]) -> Option<String> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let file = |path: &Path| File::create(path).expect("there is room");
    let (out, errors) = (scratch.path().join("out"), scratch.path().join("errors"));
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
    command.args(["--no-first-run", "--disable-background-networking"]);
    command.args(["--disable-component-update", "--disable-sync", "--enable-logging=stderr"]);
    command.args(["--hide-scrollbars", "--window-size=1400,900"]);
    command.arg(format!("--user-data-dir={}", scratch.path().join("profile").display()));
    command.args(arguments).arg(format!("file://{}", page.display()));
    command.stdin(Stdio::null()).stdout(file(&out));
    let Ok(mut browser) = command.stderr(file(&errors)).spawn() else {
        eprintln!("skipped: no browser; install it with: apt-get install chromium");
        return None;
    };
    let began = Instant::now();
    let status = loop {
        if let Some(status) = browser.try_wait().expect("it can be asked") {
            break status;
        }
        if began.elapsed() > Duration::from_mins(2) {
            browser.kill().expect("it can be ended");
        }
        sleep(Duration::from_millis(20));
    };
    let read = |path: &Path| {
        let bytes = std::fs::read(path).expect("it was written");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let errors = read(&errors);
    assert!(status.success(), "the browser ended with {status}: {errors}");
    // Whatever a page says on its console stands there, errors of the script among it.
    let console: Vec<_> = errors.lines().filter(|it| it.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:#?}");
    Some(read(&out))
}

/// What comes of using the page of a run.
fn used(scenario: &Scenario, verdict: &Verdict, messages: &[Message]) -> Option<Value> {
    let watch = "<script>const failures = []; \
                 addEventListener(\"error\", (it) => failures.push(it.message));</script>";
    let page = timeline::html(scenario, verdict, messages);
    let page = page.replacen("<head>", &format!("<head>{watch}"), 1);
    let end = page.rfind("</body>").expect("a page has an end");
    let (body, rest) = page.split_at(end);
    let page = format!("{body}<script>{}</script>{rest}", include_str!("selftest.js"));
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let file = scratch.path().join("timeline.html");
    std::fs::write(&file, page).expect("there is room");
    let dom = browse(&file, &["--dump-dom"])?;
    let (_, result) = dom.split_once("id=\"selftest\">").expect("the page was used to the end");
    let result = result.split_once("</script>").expect("the element ends").0;
    Some(serde_json::from_str(result).expect("the result is JSON"))
}

fn count(trace: &Trace, is_it: impl Fn(&What) -> bool) -> usize {
    trace.entries.iter().filter(|it| is_it(&it.what)).count()
}

fn is_triggered(what: &What) -> bool {
    matches!(what, What::Event(Event::CheckpointTriggered { .. }))
}

/// Everything that must hold of any page: all is drawn, and each way to look around does what it says.
fn check(verdict: &Verdict, used: &Value) {
    let (trace, drawn) = (&verdict.trace, &used["drawn"]);
    assert_eq!(used["failures"], serde_json::json!([]));
    assert_eq!(drawn["marks"], trace.entries.len());
    assert_eq!(drawn["fault"], count(trace, |it| matches!(it, What::Fault(_))));
    assert_eq!(drawn["checkpoint"], count(trace, is_triggered));
    assert_eq!(drawn["recovery"], verdict.counts.recoveries);
    let number = |name: &str| used[name].as_f64().unwrap_or_else(|| panic!("{name} in {used}"));
    let is_near = |name: &str, expected: f64| {
        assert!((number(name) - expected).abs() < 0.02, "{name}: {}", number(name));
    };
    is_near("wheel", (-1.0f64 / 3.0).exp());
    is_near("keyboard", 0.5);
    is_near("right", 0.2);
    is_near("dragged", 100.0 / (1366.0 - 190.0));
    is_near("button", 0.25);
    is_near("fit", 1.0);
    is_near("axis", 200.0 / (1366.0 - 190.0));
    assert_eq!(used["isTextClosed"], true);
    assert_eq!(used["count"], format!("{} events in view", trace.entries.len()));

    let lines = trace.full();
    for text in ["job-finished", "worker-3"] {
        let search = &used["searches"][text];
        let expected = lines.lines().filter(|it| it.contains(text)).count();
        assert_eq!(search["found"], expected, "{text}");
        assert!(search["line"].as_str().is_some_and(|it| it.contains(text)), "{search}");
        assert_eq!((&search["isShown"], &search["isListed"]), (&true.into(), &true.into()));
    }
    assert_eq!(used["searches"]["no such thing"]["found"], 0);
    let text = |name: &str| used[name].as_str().unwrap_or_else(|| panic!("{name} in {used}"));
    let (tip, fault) = (text("tip"), text("fault"));
    assert!(tip.contains(fault.trim_start()), "{tip}");
}

#[test]
fn every_lane_checkpoint_and_fault_is_drawn_and_a_person_can_look_around() {
    let (scenario, verdict) = run_of("crash/everything-at-once");
    let messages = run::messages_of(&scenario, &verdict);
    assert!(messages.iter().any(|it| it.arrived.is_none()), "a crash loses frames");
    // More than a person can tell apart are drawn only when there are few of them in view.
    let messages: Vec<_> = messages.into_iter().take(100).collect();
    let Some(used) = used(&scenario, &verdict, &messages) else { return };
    check(&verdict, &used);
    let lanes = serde_json::json!(["world", "coordinator", "worker-1", "worker-2", "worker-3"]);
    assert_eq!(used["lanes"], lanes);
    assert_eq!(used["drawn"]["crash"], 4);
    assert_eq!(used["messages"], messages.len());
}

#[test]
fn ten_thousand_events_are_drawn_and_searched() {
    let path = directory().join("crash/everything-at-once.toml");
    let text = std::fs::read_to_string(path).unwrap().replace("4_000", "40_000");
    let scenario = Scenario::parse("crash/everything-at-once", &text).unwrap();
    let verdict = run::run(&scenario, 1);
    let events = verdict.trace.entries.len();
    assert!(events >= 10_000, "{events} events");
    let Some(used) = used(&scenario, &verdict, &[]) else { return };
    check(&verdict, &used);
    eprintln!(
        "{events} events: first paint after {:.0} ms, each later one {:.0} ms",
        used["paint"].as_f64().unwrap(),
        used["draw"].as_f64().unwrap()
    );
}

#[test]
fn a_violation_stands_on_top_of_a_page_that_is_not_blank() {
    let (scenario, verdict) = run_of("planted/last-record-is-read-again");
    let page = timeline::html(&scenario, &verdict, &[]);
    let banner =
        "class=\"broken\" role=\"status\"><strong>violated</strong> <span>exactly-once-output";
    assert!(page.contains(banner));
    let scratch = tempfile::tempdir().unwrap();
    let (file, picture) = (scratch.path().join("timeline.html"), scratch.path().join("it.png"));
    std::fs::write(&file, page).unwrap();
    let screenshot = format!("--screenshot={}", picture.display());
    if browse(&file, &[&screenshot]).is_none() {
        return;
    }
    let picture = std::fs::read(picture).unwrap();
    assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(picture[16..24], [1400u32.to_be_bytes(), 900u32.to_be_bytes()].concat());
    // A page that draws nothing leaves less than ten thousand bytes.
    assert!(picture.len() > 40_000, "{} bytes", picture.len());
}

#[test]
fn a_page_reads_no_other_file_and_has_the_recovery_trace_as_text() {
    let (scenario, verdict) = run_of("crash/coordinator-between-manifest-and-record");
    let page = timeline::html(&scenario, &verdict, &[]);
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let text = verdict.trace.recovery().replace('>', "&gt;");
    assert!(page.contains(&format!("<pre>{text}</pre>")));
}

#[test]
fn words_of_a_run_cannot_end_the_script_or_become_markup() {
    let (mut scenario, mut verdict) = run_of("smoke/no-faults");
    scenario.about = "</title><b>bold</b> & \"more\"".to_owned();
    let hostile = "</script><script>throw new Error(\"markup\")</script> {{data}}";
    let mut entry = verdict.trace.entries[0].clone();
    entry.what = What::Ended(hostile.to_owned());
    verdict.trace.entries.insert(0, entry);
    let page = timeline::html(&scenario, &verdict, &[]);
    assert!(!page.contains("<b>") && !page.contains("<script>throw"));
    let Some(used) = used(&scenario, &verdict, &[]) else { return };
    assert_eq!(used["failures"], serde_json::json!([]));
    assert_eq!(used["drawn"]["marks"], verdict.trace.entries.len());
}

#[test]
fn a_diagram_has_a_line_for_each_line_of_the_recovery_trace() {
    let (scenario, verdict) = run_of("planted/last-record-is-read-again");
    let steps = verdict.trace.steps().len();
    let mermaid = diagram::write(Format::Mermaid, &scenario, &verdict);
    let times = |text: &str| mermaid.matches(text).count();
    assert_eq!(times("participant "), 5);
    assert_eq!(times("world-xworker-1: 1.633101 FAULT crash worker-1, restart after 1s"), 1);
    assert_eq!(times("Note over world,worker-3: violated: exactly-once-output"), 1);
    assert_eq!(times("subtask-failed number/2#35;1: a channel broke"), 1);
    // An attempt goes out to three workers, twice.
    assert_eq!(mermaid.lines().count(), 2 + 5 + steps + 4 + 1);

    let svg = diagram::write(Format::Svg, &scenario, &verdict);
    assert_eq!(svg.matches("class=\"time\"").count(), steps);
    assert!(svg.contains("✗ violated"));
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("diagram.svg");
    std::fs::write(&file, svg).unwrap();
    let Some(dom) = browse(&file, &["--dump-dom"]) else { return };
    assert!(dom.contains("<svg") && !dom.contains("parsererror"), "{dom}");
}
