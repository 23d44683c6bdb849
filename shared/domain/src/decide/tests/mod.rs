//! Every state meets every input: the whole machine as one table, and the rules that hold on each edge.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test names states for people; nothing is decided here")]

mod machine;
mod model;
mod rules;
mod told;
mod turns;

use std::fmt::Write as _;

use crate::Timestamp;
use crate::artifact::ArtifactRef;
use crate::decide::{Decision, Effect, Notice, decide};
use crate::error::{Failure, Fault};
use crate::gate::GateReason;
use crate::hash::{ContentHash, HashPrefix};
use crate::id::{MemberId, TenantId, TicketId};
use crate::input::{FixWhat, Happening, Input, News, Outcome, Request};
use crate::money::Usd;
use crate::name::{BranchName, CommitSha, ModelName, RepoName, TrackerKey};
use crate::path::RepoPath;
use crate::policy::{Policy, PolicyChange};
use crate::principal::{Member, Principal, Role, Via};
use crate::refusal::Why;
use crate::state::{PauseReason, Stage, State};
use crate::ticket::{NewTicket, PendingCall, PullRequestRef, Target, Ticket, TicketText};

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn hash(of: &str) -> ContentHash {
    ContentHash::of(of.as_bytes())
}

fn artifact(version: u32, of: &str) -> ArtifactRef {
    ArtifactRef { version, hash: hash(of), changed: if version > 1 { format!("{of} differs") } else { String::new() } }
}

fn prefix(of: &str) -> Option<HashPrefix> {
    HashPrefix::parse(hash(of).short())
}

fn sha() -> CommitSha {
    CommitSha::parse(&"a".repeat(40)).unwrap()
}

fn target() -> Target {
    let branch = |name: &str| BranchName::parse(name).unwrap();
    let repo = RepoName::parse("acme/widgets").unwrap();
    Target { repo, base: branch("main"), branch: branch("prfactory/K-1"), commit: None, snapshot: None }
}

fn ticket(state: State) -> Ticket {
    let mut ticket = Ticket::new(NewTicket {
        id: TicketId::parse("tkt_1").unwrap(),
        tenant: TenantId::parse("ten_1").unwrap(),
        key: TrackerKey::parse("K-1").unwrap(),
        via: Via::Jira,
        connection: None,
        text: TicketText { title: "t".to_owned(), body: String::new() },
        requester: MemberId::parse("mem_author").ok(),
        requester_name: "author".to_owned(),
        target: target(),
        budget: Usd::from_dollars(5),
        at: now(),
    });
    ticket.questions = Some(artifact(1, "questions"));
    ticket.refinement = Some(artifact(1, "refinement"));
    ticket.plans = vec![artifact(1, "plan 1"), artifact(2, "plan 2")];
    ticket.change_set = Some(artifact(1, "change"));
    ticket.pull_request = Some(PullRequestRef { number: 7, url: "u".to_owned(), head: sha() });
    ticket.deadline = Some(now());
    ticket.pending = Some(PendingCall { request: hash("request"), attempt: 1, reserved: Usd::from_dollars(1) });
    ticket.state = state;
    ticket
}

fn member(id: &str, role: Role) -> Principal {
    Principal::Member(Member {
        tenant: TenantId::parse("ten_1").unwrap(),
        id: MemberId::parse(id).unwrap(),
        name: id.to_owned(),
        role,
        via: Via::Github,
    })
}

fn ask(ticket: &Ticket, by: Principal, request: Request, policy: &Policy) -> Result<Ticket, Why> {
    let input = Input { by, what: Happening::Request(request) };
    decide(ticket, &input, policy, now()).map(|decision| decision.next).map_err(|refusal| refusal.why)
}

fn approve(of: &str) -> Request {
    Request::Approve { hash: prefix(of), note: String::new() }
}

/// What the system itself brings to a ticket, and what follows.
fn met(ticket: &Ticket, what: Happening, policy: &Policy) -> Result<Decision, Why> {
    decide(ticket, &Input { by: Principal::System, what }, policy, now()).map_err(|refusal| refusal.why)
}

fn failure(fault: Fault) -> Failure {
    Failure::new(fault, "it broke")
}

fn gates() -> Vec<GateReason> {
    vec![GateReason::Sensitive { paths: vec![RepoPath::parse(".github/x").unwrap()] }]
}

fn states() -> Vec<State> {
    let boxed = |state: State| Box::new(state);
    let mut states = vec![
        State::Snapshotting { then: Stage::Analyze },
        State::Snapshotting { then: Stage::Implement },
        State::Analyzing,
        State::AwaitingAnswers,
        State::Refining,
        State::AwaitingRefinementApproval,
        State::Planning,
        State::AwaitingPlanApproval,
        State::PlanApproved,
        State::Implementing,
        State::Reviewing,
        State::AwaitingDiffApproval { reasons: gates() },
        State::Publishing,
        State::InReview,
        State::Revising,
    ];
    for why in [
        PauseReason::Budget,
        PauseReason::MonthlyBudget,
        PauseReason::Person,
        PauseReason::Deadline,
        PauseReason::Limit,
    ] {
        states.push(State::Paused { from: boxed(State::Planning), why });
    }
    states.push(State::Cancelling { intent: "i".to_owned() });
    states.push(State::Failed { from: boxed(State::Planning), error: failure(Fault::Invalid) });
    states.extend([State::Completed, State::Closed, State::Cancelled]);
    states
}

fn requests() -> Vec<Request> {
    let text = || "text".to_owned();
    vec![
        Request::Trigger,
        Request::Untrigger,
        Request::Analyze,
        Request::Answer { answers: artifact(1, "answers") },
        Request::Skip { answers: artifact(1, "defaults") },
        Request::Plan { answers: Some(artifact(1, "defaults")) },
        Request::Replan { instruction: text() },
        Request::EditRefinement { refinement: artifact(2, "edited") },
        Request::Approve { hash: prefix("refinement"), note: String::new() },
        Request::Approve { hash: prefix("plan 2"), note: String::new() },
        Request::Approve { hash: prefix("change"), note: String::new() },
        Request::Approve { hash: None, note: String::new() },
        Request::Reject { reason: text() },
        Request::Implement,
        Request::Close,
        Request::Fix { what: FixWhat::Ci, batch: None, instruction: text() },
        Request::Fix { what: FixWhat::Review, batch: Some(hash("batch")), instruction: text() },
        Request::Fix { what: FixWhat::Conflicts, batch: None, instruction: text() },
        Request::Autofix { on: true },
        Request::Retry,
        Request::Cancel,
        Request::Pause,
        Request::Resume,
        Request::Budget { add: Usd::from_dollars(2) },
        Request::Model { name: ModelName::parse("m").unwrap() },
        Request::Repo { target: target() },
    ]
}

fn outcomes() -> Vec<Outcome> {
    let call = |reserved| PendingCall { request: hash("next"), attempt: 1, reserved };
    let asked = |reserved| Outcome::Asked { call: call(reserved), checkpoint: hash("checkpoint") };
    let answered = |of: &str| Outcome::Answered {
        request: hash(of),
        answer: hash("answer"),
        cost: Usd::from_micros(10),
        incomplete: false,
    };
    let reviewed = |critical, gates| Outcome::Reviewed { review: artifact(1, "review"), critical, gates };
    vec![
        Outcome::Snapshotted { commit: sha(), snapshot: hash("snapshot"), overrides: None },
        Outcome::Analyzed { analysis: artifact(1, "analysis"), questions: Some(artifact(1, "questions")) },
        Outcome::Analyzed { analysis: artifact(1, "analysis"), questions: None },
        Outcome::FollowUp { questions: artifact(2, "more"), checkpoint: hash("checkpoint") },
        Outcome::Refined { refinement: artifact(2, "refinement 2") },
        Outcome::Planned { plan: artifact(3, "plan 3") },
        Outcome::BaseMoved { changed: "`a` changed".to_owned() },
        Outcome::Implemented { change_set: artifact(2, "change 2") },
        reviewed(0, Vec::new()),
        reviewed(1, Vec::new()),
        reviewed(0, gates()),
        Outcome::IntentStarted { intent: "publish".to_owned() },
        Outcome::Published { pull_request: PullRequestRef { number: 7, url: "u".to_owned(), head: sha() } },
        Outcome::Revised { change_set: artifact(2, "change 2"), answer: Some(hash("answer")) },
        Outcome::ApprovalLapsed { names: vec!["Apo".to_owned()], least: Role::Approver },
        Outcome::CancelSettled { left: "nothing".to_owned() },
        Outcome::OverLimit { what: "60 turns".to_owned(), checkpoint: hash("checkpoint") },
        asked(Usd::from_dollars(1)),
        asked(Usd::from_dollars(6)),
        Outcome::OverMonthlyBudget { checkpoint: hash("checkpoint") },
        answered("request"),
        answered("something else"),
        Outcome::Continue { checkpoint: hash("checkpoint") },
        Outcome::Failed { failure: failure(Fault::Transient) },
        Outcome::Failed { failure: failure(Fault::Invalid) },
    ]
}

fn inputs() -> Vec<(String, Input)> {
    let mut all = Vec::new();
    for request in requests() {
        let shown = match &request {
            Request::Approve { hash: None, .. } => "approve".to_owned(),
            Request::Approve { hash: Some(h), .. } => {
                let named = ["refinement", "plan 2", "change"].into_iter().find(|of| prefix(of).as_ref() == Some(h));
                format!("approve <{}>", named.unwrap_or("?"))
            }
            Request::Fix { what, .. } => format!("fix {what:?}").to_lowercase(),
            other => other.verb().to_owned(),
        };
        let what = Happening::Request(request);
        all.push((shown, Input { by: member("mem_admin", Role::Admin), what }));
    }
    let name = |value: String| value.split([' ', '{', '(']).next().unwrap_or("").to_owned();
    for (at, outcome) in outcomes().into_iter().enumerate() {
        let shown = format!("{:02} {}", at + 1, name(format!("{outcome:?}")));
        all.push((shown, Input { by: Principal::System, what: Happening::Outcome(outcome) }));
    }
    for news in [
        News::Merged,
        News::PullRequestClosed,
        News::ReviewSubmitted { batch: hash("batch") },
        News::ChecksFailed { batch: hash("batch") },
        News::ChecksPassed,
        News::Pushed { head: CommitSha::parse(&"d".repeat(40)).unwrap() },
        News::Conflicted,
        News::PullRequestLinked { url: "u".to_owned() },
        News::Uninstalled,
    ] {
        let shown = name(format!("{news:?}"));
        all.push((shown, Input { by: Principal::System, what: Happening::News(news) }));
    }
    all.push(("deadline".to_owned(), Input { by: Principal::System, what: Happening::DeadlinePassed }));
    all
}

fn shown(state: &State) -> String {
    match state {
        State::Snapshotting { then } => format!("snapshotting>{}", then.as_str()),
        State::Paused { from, why } => format!("paused({why:?})<{}", from.name()),
        State::Failed { from, .. } => format!("failed<{}", from.name()),
        other => other.name().to_owned(),
    }
}

#[test]
fn every_state_meets_every_input() {
    let policy = Policy { required_approvals: 1, ..Policy::standard() };
    let mut table = String::new();
    for state in states() {
        let _ = writeln!(table, "{}", shown(&state));
        for (name, input) in inputs() {
            let before = ticket(state.clone());
            match decide(&before, &input, &policy, now()) {
                Ok(decision) => {
                    let next = &decision.next;
                    assert_eq!(next.version, before.version + 1, "{name} in {state:?}");
                    assert!(next.run >= before.run);
                    assert_eq!(next.events, before.events + decision.events.len() as u64, "{name} in {state:?}");
                    let runs = decision.effects.iter().filter(|e| matches!(e, Effect::Run { .. })).count();
                    assert!(runs <= 1, "{name} in {state:?}");
                    if shown(&next.state) != shown(&state) && next.state.stage().is_some() {
                        assert_eq!(runs, 1, "{name} in {state:?} starts no stage");
                        assert_eq!(next.run, before.run + 1, "{name} in {state:?} keeps the old run");
                    }
                    let _ = writeln!(table, "  {name} -> {}", shown(&next.state));
                }
                Err(refusal) => {
                    assert!(!refusal.message.is_empty());
                    assert!(refusal.why != Why::Role, "an admin may do everything: {name} in {state:?}");
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}
