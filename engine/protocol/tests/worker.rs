//! A worker's obedience: one leader, one attempt, and idle whenever it registers.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::config::HeartbeatConfig;
use seawall_protocol::message::{Barrier, Deployment, Order, ToCoordinator, ToWorker};
use seawall_protocol::worker::{Effect, Input, Plan, Timer, Worker};
use seawall_protocol::{
    Attempt, AttemptId, CheckpointId, FencingToken, SessionId, SubtaskId, WorkerId,
};

// Transcripts.

fn plan() -> Plan {
    let heartbeat =
        HeartbeatConfig { timeout: Duration::from_secs(2), ..HeartbeatConfig::default() };
    Plan { worker: WorkerId(1), slots: 2, heartbeat }
}

fn order(token: u64, order: Order) -> Input {
    Input::Order(ToWorker { token: FencingToken(token), order })
}

fn deploy(attempt: u32) -> Order {
    let subtasks = vec![SubtaskId::new(0, 0), SubtaskId::new(1, 0)];
    let locations = subtasks.iter().map(|subtask| (*subtask, WorkerId(1))).collect();
    let finish_together = Vec::new();
    Order::Deploy(Deployment {
        parallelism: 2,
        attempt: Attempt(attempt),
        restore: None,
        is_stopping: false,
        subtasks,
        locations,
        finish_together,
    })
}

fn id(operator: u32, attempt: u32) -> AttemptId {
    AttemptId { subtask: SubtaskId::new(operator, 0), attempt: Attempt(attempt) }
}

fn cancelled(operator: u32, attempt: u32) -> Input {
    Input::Report(ToCoordinator::Cancelled(id(operator, attempt)))
}

fn disconnected(session: u64) -> Input {
    Input::Disconnected { session: SessionId(session), cause: "reset".into() }
}

fn start() -> Input {
    Input::Start { session: SessionId(1) }
}

fn trigger(attempt: u32) -> Order {
    let barrier = Barrier::aligned(CheckpointId(9));
    Order::Trigger { attempt: Attempt(attempt), barrier, subtasks: Vec::new() }
}

fn show(effect: &Effect) -> String {
    let sent = |message: &ToCoordinator| match message {
        ToCoordinator::Register { session, .. } => format!("register {session}"),
        ToCoordinator::Heartbeat => "heartbeat".into(),
        ToCoordinator::Progress { attempt, .. } => format!("progress {attempt}"),
        ToCoordinator::Ready(it) => format!("ready {it}"),
        ToCoordinator::Ended(it) => format!("ended {it}"),
        ToCoordinator::Finished(it) => format!("finished {it}"),
        ToCoordinator::Cancelled(it) => format!("cancelled {it}"),
        ToCoordinator::Failed { attempt, .. } => format!("failed {attempt}"),
        ToCoordinator::Ack { attempt, .. } => format!("ack {attempt}"),
        ToCoordinator::Unfinished { attempt, .. } => format!("unfinished {attempt}"),
        ToCoordinator::Decline { attempt, .. } => format!("decline {attempt}"),
    };
    match effect {
        Effect::Connect => "connect".into(),
        Effect::Disconnect => "disconnect".into(),
        Effect::Send(message) => format!("send {}", sent(message)),
        Effect::Launch(deployment) => format!("launch {}", deployment.attempt),
        Effect::Start(attempt) => format!("start {attempt}"),
        Effect::Stop(attempt) => format!("stop {attempt}"),
        Effect::ReportProgress { attempt, .. } => format!("report-progress {attempt}"),
        Effect::Trigger { attempt, .. } => format!("trigger {attempt}"),
        Effect::Completed { attempt, is_final: false, .. } => format!("completed {attempt}"),
        Effect::Completed { attempt, is_final: true, .. } => format!("completed final {attempt}"),
        Effect::Aborted { attempt, .. } => format!("aborted {attempt}"),
        Effect::Arm(timer, _) => format!("arm {timer:?}"),
        Effect::Disarm(timer) => format!("disarm {timer:?}"),
        Effect::Note(event) => format!("({})", event.name()),
    }
}

/// Plays the inputs; the timers have their own test and are not shown.
fn check(transcript: &[(Input, &str)]) {
    let mut worker = Worker::new(plan());
    for (index, (input, expected)) in transcript.iter().enumerate() {
        let mut effects = Vec::new();
        worker.handle(input.clone(), &mut effects);
        let shown: Vec<_> = effects
            .iter()
            .filter(|it| !matches!(it, Effect::Arm(..) | Effect::Disarm(_)))
            .map(show)
            .collect();
        assert_eq!(shown.join(", "), *expected, "step {index}: {input:?}");
    }
}

/// A registered worker, then the rest.
fn check_registered(rest: &[(Input, &str)]) {
    let mut transcript = vec![
        (start(), "(worker-started), connect"),
        (Input::Connected, "send register 1"),
        (order(5, Order::Registered), ""),
    ];
    transcript.extend_from_slice(rest);
    check(&transcript);
}

// Rules: A7, B11
#[test]
fn an_attempt_is_launched_started_and_told_of_checkpoints() {
    let completed =
        Order::Completed { attempt: Attempt(1), checkpoint: CheckpointId(9), is_final: true };
    let aborted = Order::Aborted { attempt: Attempt(1), checkpoint: CheckpointId(9) };
    check_registered(&[
        (order(5, deploy(1)), "launch 1"),
        (Input::Report(ToCoordinator::Ready(id(0, 1))), "send ready op0/0#1"),
        (order(5, Order::Start(Attempt(1))), "start 1"),
        (order(5, Order::Start(Attempt(1))), "(stale-input)"),
        (order(5, trigger(1)), "trigger 1"),
        (order(5, aborted), "aborted 1"),
        (order(5, completed), "completed final 1"),
        (Input::Report(ToCoordinator::Finished(id(0, 1))), "send finished op0/0#1"),
        (Input::Report(ToCoordinator::Finished(id(0, 1))), "(stale-input)"),
        (order(5, trigger(2)), "(stale-input)"),
    ]);
}

// Rules: A5
#[test]
fn orders_of_any_other_token_are_refused_a_larger_one_too() {
    check_registered(&[
        (order(4, deploy(1)), "(order-refused)"),
        (order(6, deploy(1)), "(order-refused)"),
        (order(6, Order::Registered), "(order-refused)"),
        (order(5, deploy(1)), "launch 1"),
    ]);
}

// Rules: A5
#[test]
fn orders_before_the_registration_is_accepted_are_refused() {
    check(&[
        (order(5, Order::Registered), "(order-refused)"),
        (start(), "(worker-started), connect"),
        (Input::Connected, "send register 1"),
        (order(5, deploy(1)), "(order-refused)"),
    ]);
}

// Rules: A5, H10
#[test]
fn a_leader_older_than_one_obeyed_before_is_left() {
    check_registered(&[
        (disconnected(2), "(coordinator-lost)"),
        (Input::Timer(Timer::Reconnect), "connect"),
        (Input::Connected, "send register 2"),
        (order(4, Order::Registered), "(order-refused), disconnect, (coordinator-lost)"),
        (disconnected(3), ""),
        (Input::Timer(Timer::Reconnect), "connect"),
        (Input::Connected, "send register 3"),
        (order(5, Order::Registered), ""),
        (order(5, deploy(1)), "launch 1"),
    ]);
}

// Rules: A4
#[test]
fn a_deployment_waits_until_the_older_attempt_has_stopped() {
    check_registered(&[
        (order(5, deploy(1)), "launch 1"),
        (order(5, deploy(2)), "stop 1"),
        (order(5, deploy(2)), "(stale-input)"),
        (order(5, trigger(1)), "(stale-input)"),
        (cancelled(0, 1), "send cancelled op0/0#1"),
        (cancelled(1, 1), "send cancelled op1/0#1, launch 2"),
        (order(5, deploy(1)), "(stale-input)"),
    ]);
}

#[test]
fn a_cancelled_attempt_is_stopped_once_and_one_that_waits_is_answered_at_once() {
    check_registered(&[
        (order(5, Order::Cancel(Attempt(1))), "(stale-input)"),
        (order(5, deploy(1)), "launch 1"),
        (order(5, Order::Cancel(Attempt(1))), "stop 1"),
        (order(5, Order::Cancel(Attempt(1))), ""),
        (order(5, deploy(2)), ""),
        (order(5, Order::Cancel(Attempt(2))), "send cancelled op0/0#2, send cancelled op1/0#2"),
        (cancelled(0, 1), "send cancelled op0/0#1"),
        (cancelled(1, 1), "send cancelled op1/0#1"),
    ]);
}

#[test]
fn a_worker_that_lost_its_coordinator_connects_again_only_when_nothing_runs_here() {
    check_registered(&[
        (order(5, deploy(1)), "launch 1"),
        (disconnected(2), "(coordinator-lost), stop 1"),
        (order(5, trigger(1)), "(order-refused)"),
        (cancelled(0, 1), ""),
        (Input::Timer(Timer::Reconnect), ""),
        (cancelled(1, 1), "connect"),
        (Input::Connected, "send register 2"),
    ]);
}

// Rules: A8
#[test]
fn a_silent_coordinator_is_left_and_everything_is_stopped() {
    check_registered(&[
        (order(5, deploy(1)), "launch 1"),
        (Input::Timer(Timer::CoordinatorSilent), "disconnect, (coordinator-lost), stop 1"),
        (order(5, trigger(1)), "(order-refused)"),
        (disconnected(2), ""),
        (cancelled(0, 1), ""),
        (cancelled(1, 1), ""),
        (Input::Timer(Timer::Reconnect), "connect"),
    ]);
}

#[test]
fn a_deployment_that_waited_dies_with_its_leader() {
    check_registered(&[
        (order(5, deploy(1)), "launch 1"),
        (order(5, deploy(2)), "stop 1"),
        (disconnected(2), "(coordinator-lost)"),
        (cancelled(0, 1), ""),
        (cancelled(1, 1), ""),
        (Input::Timer(Timer::Reconnect), "connect"),
    ]);
}

#[test]
fn a_connection_that_cannot_be_made_or_hangs_is_tried_again_after_a_pause() {
    check(&[
        (start(), "(worker-started), connect"),
        (disconnected(2), ""),
        (Input::Timer(Timer::Reconnect), "connect"),
        (Input::Timer(Timer::CoordinatorSilent), "disconnect, (coordinator-lost)"),
        (Input::Connected, "disconnect"),
        (disconnected(3), ""),
        (Input::Timer(Timer::Reconnect), "connect"),
        (Input::Connected, "send register 3"),
    ]);
}

#[test]
fn heartbeats_go_out_at_the_interval_and_each_order_obeyed_puts_off_the_suspicion() {
    let mut worker = Worker::new(plan());
    let mut answer = |input| {
        let mut effects = Vec::new();
        worker.handle(input, &mut effects);
        effects
    };
    let HeartbeatConfig { interval, timeout, .. } = plan().heartbeat;
    let suspect = Effect::Arm(Timer::CoordinatorSilent, timeout);
    assert!(answer(start()).contains(&suspect));
    assert!(answer(Input::Connected).contains(&Effect::Arm(Timer::Heartbeat, interval)));
    assert_eq!(answer(order(5, Order::Registered)), std::slice::from_ref(&suspect));
    assert_eq!(
        answer(Input::Timer(Timer::Heartbeat)),
        [Effect::Send(ToCoordinator::Heartbeat), Effect::Arm(Timer::Heartbeat, interval)]
    );
    assert_eq!(answer(order(5, Order::Heartbeat)), std::slice::from_ref(&suspect));
    assert!(!answer(order(4, Order::Heartbeat)).contains(&suspect), "a zombie is no sign of life");
}

// Properties.

/// What happens next. Things that are not possible at that point do not happen.
#[derive(Debug, Clone)]
enum Action {
    ConnectionAnswers {
        succeeds: bool,
    },
    ConnectionBreaks,
    TimerFires(Timer),
    Order {
        token: u64,
        order: Order,
    },
    SubtaskStops {
        choice: usize,
        fails: bool,
    },
    /// Any report, of a subtask that may not exist.
    Report {
        operator: u32,
        attempt: u32,
    },
}

/// Everything around a worker: its connection, timers and subtasks.
struct World {
    worker: Worker,
    connection: Connection,
    sessions: u64,
    armed: BTreeSet<Timer>,
    /// Subtasks that run here.
    live: BTreeSet<AttemptId>,
    /// The attempt whose subtasks were told to stop.
    stopping: Option<Attempt>,
    newest: Attempt,
    /// Whose registration answer this connection carried first.
    leader: Option<FencingToken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    None,
    Pending,
    Up,
    Closing,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            worker: Worker::new(plan()),
            connection: Connection::None,
            sessions: 1,
            armed: BTreeSet::new(),
            live: BTreeSet::new(),
            stopping: None,
            newest: Attempt(0),
            leader: None,
        };
        world.give(start());
        world
    }

    fn give(&mut self, input: Input) {
        let token = match &input {
            Input::Order(message) => Some(message.token),
            Input::Start { .. }
            | Input::Connected
            | Input::Disconnected { .. }
            | Input::Report(_)
            | Input::Timer(_) => None,
        };
        let mut effects = Vec::new();
        self.worker.handle(input, &mut effects);
        for effect in effects {
            self.obey(effect, token);
        }
        assert_eq!(
            self.worker.attempt(),
            self.live.first().map(|it| it.attempt),
            "the worker knows what runs"
        );
    }

    fn obey(&mut self, effect: Effect, token: Option<FencingToken>) {
        match effect {
            Effect::Connect => {
                assert_eq!(self.connection, Connection::None, "two connections at once");
                assert!(self.live.is_empty(), "only an idle worker registers");
                self.connection = Connection::Pending;
            }
            Effect::Disconnect => {
                assert_ne!(self.connection, Connection::None, "nothing to close");
                self.connection = Connection::Closing;
            }
            Effect::Send(_) => assert_eq!(self.connection, Connection::Up, "sent into the void"),
            Effect::Launch(deployment) => {
                assert!(self.live.is_empty(), "two attempts at once (O6)");
                assert!(self.newest < deployment.attempt, "a stale attempt (A4)");
                assert!(self.leader.is_some(), "launched without a leader");
                self.newest = deployment.attempt;
                self.stopping = None;
                let attempt = deployment.attempt;
                self.live = deployment
                    .subtasks
                    .into_iter()
                    .map(|subtask| AttemptId { subtask, attempt })
                    .collect();
            }
            Effect::Stop(attempt) => {
                assert!(self.live.iter().any(|it| it.attempt == attempt), "nothing to stop");
                assert_eq!(self.stopping.replace(attempt), None, "stopped twice");
            }
            Effect::Start(attempt)
            | Effect::Trigger { attempt, .. }
            | Effect::Completed { attempt, .. }
            | Effect::ReportProgress { attempt, .. }
            | Effect::Aborted { attempt, .. } => {
                assert!(token.is_some());
                assert_eq!(token, self.leader, "a foreign order was obeyed (A5)");
                assert!(self.live.iter().any(|it| it.attempt == attempt));
                assert_eq!(self.stopping, None, "told after the stop");
            }
            Effect::Arm(timer, _) => {
                self.armed.insert(timer);
            }
            Effect::Disarm(timer) => {
                self.armed.remove(&timer);
            }
            Effect::Note(_) => {}
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ConnectionAnswers { succeeds } => match self.connection {
                Connection::Pending if succeeds => {
                    self.connection = Connection::Up;
                    self.give(Input::Connected);
                }
                Connection::Pending | Connection::Closing => self.disconnect(),
                Connection::None | Connection::Up => {}
            },
            Action::ConnectionBreaks if self.connection == Connection::Up => self.disconnect(),
            Action::TimerFires(timer) => {
                if self.armed.remove(&timer) {
                    self.give(Input::Timer(timer));
                }
            }
            Action::Order { token, order } if self.connection == Connection::Up => {
                if order == Order::Registered && self.leader.is_none() {
                    self.leader = Some(FencingToken(token));
                }
                self.give(Input::Order(ToWorker { token: FencingToken(token), order }));
            }
            Action::ConnectionBreaks | Action::Order { .. } => {}
            Action::SubtaskStops { choice, fails } => {
                let live: Vec<_> = self.live.iter().copied().collect();
                if let Some(attempt) = live.get(choice % live.len().max(1)).copied() {
                    self.live.remove(&attempt);
                    if self.live.is_empty() {
                        self.stopping = None;
                    }
                    self.give(Input::Report(if fails {
                        ToCoordinator::Failed { attempt, cause: "disk".into(), fatal: false }
                    } else {
                        ToCoordinator::Finished(attempt)
                    }));
                }
            }
            Action::Report { operator, attempt } => {
                self.give(Input::Report(ToCoordinator::Ready(id(operator, attempt))));
            }
        }
    }

    fn disconnect(&mut self) {
        self.connection = Connection::None;
        self.leader = None;
        self.sessions += 1;
        self.give(disconnected(self.sessions));
    }

    /// One round of a world without faults; the leader's token is the newest.
    fn heal(&mut self, token: u64) {
        while self.stopping.is_some() {
            self.act(Action::SubtaskStops { choice: 0, fails: false });
        }
        match self.connection {
            Connection::None => self.act(Action::TimerFires(Timer::Reconnect)),
            Connection::Pending | Connection::Closing => {
                self.act(Action::ConnectionAnswers { succeeds: true });
            }
            Connection::Up if self.worker.token().is_none() => {
                self.act(Action::Order { token, order: Order::Registered });
                if self.worker.token().is_none() {
                    // An older leader answered on this connection first; the silence ends it.
                    self.act(Action::TimerFires(Timer::CoordinatorSilent));
                }
            }
            Connection::Up => {}
        }
    }
}

const TOKENS: u64 = 3;

fn any_order() -> impl Strategy<Value = Order> {
    let attempt = || (1..6_u32).prop_map(Attempt);
    prop_oneof![
        3 => Just(Order::Registered),
        1 => Just(Order::Heartbeat),
        4 => (1..6_u32).prop_map(deploy),
        2 => attempt().prop_map(Order::Start),
        2 => attempt().prop_map(Order::Cancel),
        1 => (1..6_u32).prop_map(trigger),
        1 => (attempt(), any::<bool>()).prop_map(|(attempt, is_final)| Order::Completed {
            attempt,
            checkpoint: CheckpointId(9),
            is_final,
        }),
        1 => attempt().prop_map(|attempt| Order::Aborted { attempt, checkpoint: CheckpointId(9) }),
    ]
}

fn any_timer() -> impl Strategy<Value = Timer> {
    prop_oneof![
        Just(Timer::Heartbeat),
        Just(Timer::Heartbeat),
        Just(Timer::CoordinatorSilent),
        Just(Timer::Reconnect),
        Just(Timer::Reconnect),
        Just(Timer::Reconnect),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => prop::bool::weighted(0.8).prop_map(|succeeds| Action::ConnectionAnswers { succeeds }),
        1 => Just(Action::ConnectionBreaks),
        3 => any_timer().prop_map(Action::TimerFires),
        12 => (1..=TOKENS, any_order()).prop_map(|(token, order)| Action::Order { token, order }),
        4 => (any::<usize>(), any::<bool>())
            .prop_map(|(choice, fails)| Action::SubtaskStops { choice, fails }),
        1 => (0..3_u32, 1..6_u32)
            .prop_map(|(operator, attempt)| Action::Report { operator, attempt }),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        1 => Just(start()),
        3 => Just(Input::Connected),
        1 => (1..9_u64).prop_map(disconnected),
        8 => (1..=TOKENS, any_order()).prop_map(|(token, it)| order(token, it)),
        3 => (0..2_u32, 1..6_u32).prop_map(|(operator, attempt)| cancelled(operator, attempt)),
        1 => Just(Input::Report(ToCoordinator::Heartbeat)),
        2 => any_timer().prop_map(Input::Timer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    // Rules: A4, A5
    #[test]
    fn a_worker_obeys_one_leader_runs_one_attempt_and_registers_again_once_faults_end(
        actions in prop::collection::vec(any_action(), 0..150),
    ) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
        }
        for _ in 0..12 {
            world.heal(TOKENS);
        }
        prop_assert!(world.worker.token().is_some(), "never registered again: {:?}", world.worker);
    }

    #[test]
    fn any_input_in_any_state_has_an_answer(inputs in prop::collection::vec(any_input(), 0..150)) {
        let mut worker = Worker::new(plan());
        for input in inputs {
            let mut effects = Vec::new();
            worker.handle(input, &mut effects);
        }
    }
}
