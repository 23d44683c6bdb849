//! What people are told, what of their words is heeded, and whose approval counts.

use std::collections::BTreeMap;

use crate::artifact::{DecisionRecord, Verdict};

use super::*;

fn admin() -> Principal {
    member("mem_admin", Role::Admin)
}

fn effects(ticket: &Ticket, request: Request, policy: &Policy) -> Vec<Effect> {
    let input = Input { by: admin(), what: Happening::Request(request) };
    decide(ticket, &input, policy, now()).unwrap().effects
}

#[test]
fn each_state_has_words_of_its_own_and_what_they_say_works_does_work() {
    let mut words: BTreeMap<&str, String> = BTreeMap::new();
    for state in states().into_iter().filter(|state| !state.is_end()) {
        let (is, next) = state.explained();
        let known = words.entry(is).or_insert_with(|| shown(&state));
        assert_eq!(known.split('>').next(), shown(&state).split('>').next(), "both are {is}");
        let commands: Vec<&str> = next.split('`').skip(1).step_by(2).collect();
        assert!(!is.is_empty() && !commands.is_empty(), "{state:?} names no command: {next}");
        for verb in commands.iter().map(|command| command.split(' ').next().unwrap()).filter(|verb| *verb != "status") {
            let mut asked = requests().into_iter().filter(|request| request.verb() == verb);
            let done = asked.any(|request| ask(&ticket(state.clone()), admin(), request, &Policy::standard()).is_ok());
            assert!(done, "`{verb}` does not work in {state:?}");
        }
    }
    for end in [State::Completed, State::Closed, State::Cancelled] {
        assert_eq!(end.explained().1, "`analyze` or a new trigger starts again");
    }
}

#[test]
fn an_approval_is_taken_where_a_decision_is_awaited_and_nowhere_else() {
    for state in states() {
        let taken = ["refinement", "plan 2", "change"]
            .iter()
            .any(|of| ask(&ticket(state.clone()), admin(), approve(of), &Policy::standard()).is_ok());
        assert_eq!(taken, state.awaits_decision(), "{state:?}");
    }
}

#[test]
fn the_status_comment_follows_the_state_and_the_approvals_and_nothing_else() {
    let status = Effect::Notify(Notice::Status);
    let policy = Policy { required_approvals: 2, ..Policy::standard() };
    let count = |effects: &[Effect]| effects.iter().filter(|effect| **effect == status).count();
    assert_eq!(count(&effects(&ticket(State::AwaitingPlanApproval), approve("plan 2"), &policy)), 1, "one of two");
    let news = |state, news| met(&ticket(state), Happening::News(news), &policy).unwrap().effects;
    assert_eq!(count(&news(State::InReview, News::Merged)), 1);
    let late = News::ReviewSubmitted { batch: hash("late") };
    assert_eq!(news(State::Revising, late), [], "a review that waits changes no state");
    let failed = Happening::Outcome(Outcome::Failed { failure: failure(Fault::Transient) });
    assert_eq!(count(&met(&ticket(State::Planning), failed, &policy).unwrap().effects), 0);
}

#[test]
fn whoever_asks_for_what_moves_nothing_on_is_told_that_it_was_done() {
    let policy = Policy { required_approvals: 2, ..Policy::standard() };
    let model = Request::Model { name: ModelName::parse("m").unwrap() };
    for (state, request, what) in [
        (State::Planning, model, "model m is used from the next run on".to_owned()),
        (State::AwaitingPlanApproval, approve("plan 2"), format!("{} approved; 2 needed", hash("plan 2").short())),
    ] {
        let mut told = effects(&ticket(state), request, &policy);
        told.sort_by_key(|effect| *effect == Effect::Notify(Notice::Status));
        let done = Notice::Done { what, version: 1 };
        assert_eq!(told, [Effect::Notify(done), Effect::Notify(Notice::Status)]);
    }
    let told = effects(&ticket(State::Planning), Request::Cancel, &policy);
    assert_eq!(told, [Effect::Notify(Notice::Status)], "the new state says it");
}

fn decision(who: &str, of: &str, verdict: Verdict) -> DecisionRecord {
    DecisionRecord {
        artifact: hash(of),
        member: MemberId::parse(who).ok(),
        name: who.to_owned(),
        role: Some(Role::Approver),
        via: Some(Via::Github),
        verdict,
        note: String::new(),
        at: now(),
    }
}

#[test]
fn only_approvals_of_what_waits_count() {
    let policy = Policy { required_approvals: 2, ..Policy::standard() };
    for (before, counts) in [
        (decision("mem_a", "plan 2", Verdict::Approved), true),
        (decision("mem_a", "plan 1", Verdict::Approved), false),
        (decision("mem_a", "plan 2", Verdict::Rejected), false),
        (DecisionRecord { member: None, ..decision("mem_a", "plan 2", Verdict::Approved) }, false),
    ] {
        let waiting = Ticket { decisions: vec![before.clone()], ..ticket(State::AwaitingPlanApproval) };
        let next = ask(&waiting, member("mem_b", Role::Approver), approve("plan 2"), &policy).unwrap();
        assert_eq!(next.state != State::AwaitingPlanApproval, counts, "{before:?}");
    }
}

#[test]
fn the_hash_of_a_plan_approves_nothing_but_that_plan() {
    for (state, waits) in [
        (State::AwaitingDiffApproval { reasons: gates() }, "change"),
        (State::AwaitingRefinementApproval, "refinement"),
    ] {
        let input = Input { by: admin(), what: Happening::Request(approve("plan 1")) };
        let refusal = decide(&ticket(state), &input, &Policy::standard(), now()).unwrap_err();
        assert_eq!(refusal.why, Why::Stale);
        let message = refusal.message.replace(hash("plan 1").short(), "PLAN").replace(hash(waits).short(), "THIS");
        assert_eq!(message, "`PLAN` names nothing that waits here. What waits is `approve THIS`.");
    }
}

#[test]
fn what_people_add_is_heeded_by_the_next_run_and_silence_is_no_instruction() {
    let text = |said: &str| said.to_owned();
    for said in ["", "keep the docs"] {
        let heeded = (!said.is_empty()).then(|| text(said));
        for (state, request) in [
            (State::AwaitingRefinementApproval, Request::Approve { hash: None, note: text(said) }),
            (State::AwaitingPlanApproval, Request::Approve { hash: prefix("plan 2"), note: text(said) }),
            (
                State::InReview,
                Request::Fix { what: FixWhat::Review, batch: Some(hash("batch")), instruction: text(said) },
            ),
        ] {
            let next = ask(&ticket(state), admin(), request, &Policy::standard()).unwrap();
            assert_eq!(next.feedback, heeded, "{:?}", next.state);
        }
    }
}
