//! The rules that single edges keep.

use super::*;

#[test]
fn each_request_needs_its_role() {
    for state in states() {
        for request in requests() {
            let least = request.least_role();
            for role in [Role::Reader, Role::Writer, Role::Approver, Role::Admin] {
                let result = ask(&ticket(state.clone()), member("mem_x", role), request.clone(), &Policy::standard());
                if role < least {
                    assert_eq!(result.map(|t| t.state), Err(Why::Role), "{request:?} as {role:?}");
                }
            }
        }
    }
}

#[test]
fn an_older_plan_is_refused_with_what_changed_since() {
    let input = Input { by: member("mem_x", Role::Approver), what: Happening::Request(approve("plan 1")) };
    let refusal = decide(&ticket(State::AwaitingPlanApproval), &input, &Policy::standard(), now()).unwrap_err();
    assert_eq!(refusal.why, Why::Stale);
    let message = refusal.message.replace(hash("plan 1").short(), "OLD").replace(hash("plan 2").short(), "NEW");
    insta::assert_snapshot!(message, @"`OLD` is plan v1, which is no longer the one that waits. Changed since: v2: plan 2 differs. Read plan v2 and, if you agree, say `approve NEW`.");
}

#[test]
fn a_quorum_counts_distinct_members() {
    let policy = Policy { required_approvals: 2, ..Policy::standard() };
    let waiting = ticket(State::AwaitingPlanApproval);
    let one = ask(&waiting, member("mem_a", Role::Approver), approve("plan 2"), &policy).unwrap();
    assert_eq!(one.state, State::AwaitingPlanApproval);
    assert_eq!(ask(&one, member("mem_a", Role::Admin), approve("plan 2"), &policy).unwrap_err(), Why::Already);
    let two = ask(&one, member("mem_b", Role::Approver), approve("plan 2"), &policy).unwrap();
    assert_eq!(two.state, State::Snapshotting { then: Stage::Implement });
    assert_eq!((two.approved_plan, two.decisions.len()), (Some(hash("plan 2")), 2));
}

#[test]
fn the_requester_does_not_count_where_the_tenant_says_so() {
    let policy = Policy { separate_requester: true, ..Policy::standard() };
    let waiting = ticket(State::AwaitingPlanApproval);
    let own = ask(&waiting, member("mem_author", Role::Admin), approve("plan 2"), &policy);
    assert_eq!(own.unwrap_err(), Why::Requester);
    assert!(ask(&waiting, member("mem_other", Role::Approver), approve("plan 2"), &policy).is_ok());
}

#[test]
fn a_sensitive_diff_needs_an_admin() {
    let waiting = ticket(State::AwaitingDiffApproval { reasons: gates() });
    let by = |role| ask(&waiting, member("mem_x", role), approve("change"), &Policy::standard());
    assert_eq!(by(Role::Approver).unwrap_err(), Why::Role);
    assert_eq!(by(Role::Admin).unwrap().state, State::Publishing);
}

#[test]
fn a_cancel_while_writing_reads_back_first() {
    let mut writing = ticket(State::Publishing);
    writing.intent = Some("publish x".to_owned());
    let cancelled = ask(&writing, member("mem_x", Role::Writer), Request::Cancel, &Policy::standard()).unwrap();
    assert_eq!(cancelled.state, State::Cancelling { intent: "publish x".to_owned() });
    assert!(cancelled.run > writing.run);
}

#[test]
fn a_write_that_may_stand_is_remembered_over_failure_and_retry() {
    let mut writing = ticket(State::Publishing);
    writing.intent = Some("publish x".to_owned());
    let failed = Happening::Outcome(Outcome::Failed { failure: failure(Fault::Permission) });
    let input = Input { by: Principal::System, what: failed };
    let failed = decide(&writing, &input, &Policy::standard(), now()).unwrap().next;
    let writer = || member("mem_x", Role::Writer);
    let retried = ask(&failed, writer(), Request::Retry, &Policy::standard()).unwrap();
    let cancelled = ask(&retried, writer(), Request::Cancel, &Policy::standard()).unwrap();
    assert_eq!(cancelled.state, State::Cancelling { intent: "publish x".to_owned() });
}

#[test]
fn a_review_that_comes_during_another_is_worked_through_next() {
    let submitted =
        |of: &str| Input { by: Principal::System, what: Happening::News(News::ReviewSubmitted { batch: hash(of) }) };
    let mut revising = ticket(State::Revising);
    revising.review_batch = Some(hash("first"));
    let mut at = decide(&revising, &submitted("second"), &Policy::standard(), now()).unwrap().next;
    assert_eq!((&at.state, at.run), (&State::Revising, revising.run), "the run goes on");
    at.state = State::Publishing;
    let pull_request = PullRequestRef { number: 7, url: "u".to_owned(), head: sha() };
    let published = Happening::Outcome(Outcome::Published { pull_request });
    let next = decide(&at, &Input { by: Principal::System, what: published }, &Policy::standard(), now()).unwrap().next;
    assert_eq!((next.state, next.review_batch), (State::Revising, Some(hash("second"))));
    assert!(next.waiting_reviews.is_empty());
}

#[test]
fn a_review_that_came_during_a_pause_is_worked_through_on_resume() {
    let submitted = Happening::News(News::ReviewSubmitted { batch: hash("late") });
    let paused = ticket(State::Paused { from: Box::new(State::InReview), why: PauseReason::Person });
    let input = Input { by: Principal::System, what: submitted };
    let kept = decide(&paused, &input, &Policy::standard(), now()).unwrap().next;
    let resumed = ask(&kept, member("mem_x", Role::Writer), Request::Resume, &Policy::standard()).unwrap();
    assert_eq!((resumed.state, resumed.review_batch), (State::Revising, Some(hash("late"))));
}

#[test]
fn revisions_of_a_plan_end() {
    let policy = Policy { max_plan_revisions: 1, ..Policy::standard() };
    let waiting = ticket(State::AwaitingPlanApproval);
    let replan = Request::Replan { instruction: "again".to_owned() };
    assert_eq!(ask(&waiting, member("mem_x", Role::Writer), replan, &policy).unwrap_err(), Why::Limit);
}

#[test]
fn a_passing_failure_is_tried_again_and_then_given_up() {
    let mut now_at = ticket(State::Planning);
    let input = Input {
        by: Principal::System,
        what: Happening::Outcome(Outcome::Failed { failure: failure(Fault::Transient) }),
    };
    for attempt in 1..5 {
        now_at = decide(&now_at, &input, &Policy::standard(), now()).unwrap().next;
        assert_eq!((&now_at.state, now_at.attempt), (&State::Planning, attempt));
    }
    let given_up = decide(&now_at, &input, &Policy::standard(), now()).unwrap().next;
    assert!(matches!(given_up.state, State::Failed { .. }));
}

proptest::proptest! {
    /// Any sequence of inputs keeps the version growing and never leaves an end.
    #[test]
    fn random_walks_hold_the_rules(picks in proptest::collection::vec(0usize..60, 1..60)) {
        let inputs = inputs();
        let mut at = ticket(State::Snapshotting { then: Stage::Analyze });
        at.pending = None;
        at.pull_request = None;
        for pick in picks {
            let Some((_, input)) = inputs.get(pick % inputs.len()) else { continue };
            if let Ok(decision) = decide(&at, input, &Policy::standard(), now()) {
                proptest::prop_assert!(!at.state.is_end());
                proptest::prop_assert_eq!(decision.next.version, at.version + 1);
                if decision.next.state == State::Publishing {
                    proptest::prop_assert!(decision.next.approved_plan.is_some());
                }
                at = decision.next;
            }
        }
    }
}

#[test]
fn a_call_that_is_left_under_way_may_have_cost_something() {
    let mut waiting = ticket(State::Analyzing);
    waiting.pending = Some(PendingCall { request: hash("request"), attempt: 1, reserved: Usd::from_dollars(1) });
    let policy = Policy::standard();
    let ada = || member("mem_ada", Role::Admin);
    for request in [Request::Pause, Request::Cancel, Request::Analyze] {
        assert!(ask(&waiting, ada(), request.clone(), &policy).unwrap().budget.incomplete, "{request:?}");
    }
    let failed = |fault: Fault| {
        let what = Happening::Outcome(Outcome::Failed { failure: Failure::new(fault, "no") });
        decide(&waiting, &Input { by: Principal::System, what }, &policy, now()).unwrap().next
    };
    assert!(!failed(Fault::Auth).budget.incomplete, "a refused call costs nothing");
    waiting.pending = None;
    assert!(!ask(&waiting, ada(), Request::Pause, &policy).unwrap().budget.incomplete);
}

#[test]
fn a_lapsed_approval_asks_for_the_role_that_lapsed_and_forgets_the_old_one() {
    let mut publishing = ticket(State::Publishing);
    publishing.approved_diff = Some(hash("change"));
    let lapsed = Outcome::ApprovalLapsed { names: vec!["Apo".to_owned()], least: Role::Admin };
    let input = Input { by: Principal::System, what: Happening::Outcome(lapsed) };
    let next = decide(&publishing, &input, &Policy::standard(), now()).unwrap().next;
    assert_eq!(next.state.approval_role(), Role::Admin);
    assert_eq!(next.approved_diff, None);
    let State::AwaitingDiffApproval { reasons } = next.state else { panic!("no gate") };
    assert_eq!(reasons[0].to_string(), "was approved by Apo, who may no longer approve");
}
