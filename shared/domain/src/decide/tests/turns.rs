//! Runs: how they are tried again, how long they wait, and what they may cost.

use jiff::SignedDuration;

use super::*;

fn outcome(outcome: Outcome) -> Happening {
    Happening::Outcome(outcome)
}

fn failed(fault: Fault) -> Happening {
    outcome(Outcome::Failed { failure: failure(fault) })
}

fn asked(reserved: Usd) -> Happening {
    let call = PendingCall { request: hash("next"), attempt: 1, reserved };
    outcome(Outcome::Asked { call, checkpoint: hash("checkpoint") })
}

fn answered(of: &str, micros: i64, incomplete: bool) -> Happening {
    let cost = Usd::from_micros(micros);
    outcome(Outcome::Answered { request: hash(of), answer: hash("answer"), cost, incomplete })
}

fn seconds(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

#[test]
fn the_wait_between_tries_doubles() {
    let mut at = ticket(State::Planning);
    for (try_, wait) in [(1, 2), (2, 4), (3, 8), (4, 16)] {
        let decision = met(&at, failed(Fault::Transient), &Policy::standard()).unwrap();
        let again = Effect::Run { stage: Stage::Plan, not_before: Some(seconds(wait)) };
        assert_eq!(decision.effects, [again], "people are not told of a try that is followed by another");
        assert_eq!((decision.next.attempt, decision.next.not_before), (try_, Some(seconds(wait))));
        assert_eq!((decision.next.run, decision.next.turn), (at.run, at.turn + 1));
        at = decision.next;
    }
}

#[test]
fn a_rate_limit_is_waited_for_and_never_less_than_the_usual() {
    for (asked, waited) in [(Some(seconds(600)), 600), (Some(seconds(1)), 2), (None, 2)] {
        let limited = failed(Fault::RateLimited { retry_at: asked });
        let next = met(&ticket(State::Planning), limited, &Policy::standard()).unwrap().next;
        assert_eq!(next.not_before, Some(seconds(waited)), "{asked:?}");
    }
}

#[test]
fn no_two_turns_of_a_run_have_the_same_number() {
    let goes_on = outcome(Outcome::Continue { checkpoint: hash("checkpoint") });
    let mut at = ticket(State::Implementing);
    for (turn, what) in [
        (2, goes_on.clone()),
        (3, answered("request", 10, false)),
        (4, asked(Usd::from_dollars(1))),
        (5, answered("next", 10, false)),
        (6, failed(Fault::Unknown)),
        (7, goes_on),
    ] {
        at = met(&at, what.clone(), &Policy::standard()).unwrap().next;
        assert_eq!((at.run, at.turn), (1, turn), "{what:?}");
    }
}

#[test]
fn no_two_tries_of_a_call_have_the_same_number() {
    let mut at = ticket(State::Implementing);
    let mut numbers = Vec::new();
    for retries in 0..3 {
        for attempt in 0..crate::decide::MAX_ATTEMPTS {
            (at.retries, at.attempt) = (retries, attempt);
            numbers.push(at.next_call());
        }
    }
    assert_eq!(numbers, (1..=3 * crate::decide::MAX_ATTEMPTS).collect::<Vec<_>>());
}

#[test]
fn a_budget_is_the_sum_of_what_the_answered_calls_cost() {
    let mut at = ticket(State::Analyzing);
    at.attempt = 2;
    at.not_before = Some(now());
    for (of, micros, unclear, spent, incomplete) in
        [("request", 10, false, 10, false), ("next", 25, true, 35, true), ("next", 1, false, 36, true)]
    {
        let decision = met(&at, answered(of, micros, unclear), &Policy::standard()).unwrap();
        let next = decision.next;
        assert_eq!((next.budget.spent, next.budget.incomplete), (Usd::from_micros(spent), incomplete));
        assert_eq!((&next.pending, &next.answer), (&None, &Some(hash("answer"))));
        assert_eq!((next.attempt, next.not_before), (0, None), "what an answered call took to come is forgotten");
        assert_eq!(decision.effects, [Effect::Run { stage: Stage::Analyze, not_before: None }]);
        at = met(&next, asked(Usd::from_dollars(1)), &Policy::standard()).unwrap().next;
    }
}

#[test]
fn a_call_is_made_while_the_budget_covers_all_it_may_cost() {
    let mut at = ticket(State::Planning);
    (at.pending, at.budget.spent) = (None, Usd::from_dollars(3));
    let made = met(&at, asked(Usd::from_dollars(2)), &Policy::standard()).unwrap();
    assert!(matches!(made.effects.as_slice(), [Effect::CallModel { .. }]), "{:?}", made.effects);
    let more = met(&at, asked(Usd::from_micros(2_000_001)), &Policy::standard()).unwrap();
    assert!(matches!(more.next.state, State::Paused { why: PauseReason::Budget, .. }), "{:?}", more.next.state);
    assert_eq!(more.next.pending, None, "nothing is called");
    let add = Request::Budget { add: Usd::from_dollars(2) };
    let raised = ask(&more.next, member("mem_x", Role::Approver), add, &Policy::standard()).unwrap();
    assert_eq!((raised.budget.limit, raised.state), (Usd::from_dollars(7), State::Planning));
}

#[test]
fn a_repository_s_smaller_budget_counts_from_the_first_look_and_what_people_add_stands() {
    #[track_caller]
    fn check(limit: i64, seen: bool, says: Option<&str>, left: i64) {
        let mut reading = ticket(State::Snapshotting { then: Stage::Analyze });
        reading.budget.limit = Usd::from_dollars(limit);
        reading.targets[0].snapshot = seen.then(|| hash("snapshot"));
        let overrides = says.map(|usd| PolicyChange { budget_usd: Some(usd.to_owned()), ..PolicyChange::default() });
        let read = Outcome::Snapshotted { commit: sha(), snapshot: hash("snapshot"), overrides: overrides.clone() };
        let next = met(&reading, outcome(read), &Policy::standard()).unwrap().next;
        assert_eq!(next.budget.limit, Usd::from_dollars(left));
        assert_eq!(next.overrides, overrides);
        assert_eq!(next.targets[0].snapshot, Some(hash("snapshot")));
    }
    check(5, false, Some("2"), 2);
    check(8, false, Some("2"), 5);
    check(5, false, Some("100"), 5);
    check(5, false, Some("lots"), 5);
    check(5, false, None, 5);
    check(5, true, Some("2"), 5);
}

#[test]
fn what_one_repository_says_of_itself_is_nothing_to_the_next() {
    let says = |usd: Option<&str>| PolicyChange { budget_usd: usd.map(str::to_owned), ..PolicyChange::default() };
    let read = |at: &Ticket, usd| {
        let read = Outcome::Snapshotted { commit: sha(), snapshot: hash("snapshot"), overrides: Some(says(usd)) };
        met(at, outcome(read), &Policy::standard()).unwrap().next
    };
    for (first, then, left) in [(Some("2"), None, 5), (None, Some("2"), 2), (Some("2"), Some("3"), 3)] {
        let mut reading = ticket(State::Snapshotting { then: Stage::Analyze });
        reading.budget.limit = Usd::from_dollars(5);
        reading.targets[0].snapshot = None;
        let at = read(&reading, first);
        let repo = Request::Repo { target: Target { snapshot: None, commit: None, ..at.targets[0].clone() } };
        let moved = ask(&at, member("mem_ada", Role::Admin), repo, &Policy::standard()).unwrap();
        assert_eq!((moved.budget.limit, &moved.overrides), (Usd::from_dollars(5), &None));
        assert_eq!(read(&moved, then).budget.limit, Usd::from_dollars(left), "{first:?} then {then:?}");
    }
}

#[test]
fn a_run_that_asks_goes_on_right_where_it_asked() {
    let asked = Outcome::FollowUp { questions: artifact(2, "more"), checkpoint: hash("asked") };
    for (state, stage) in [
        (State::Refining, Stage::Refine),
        (State::Planning, Stage::Plan),
        (State::Implementing, Stage::Implement),
        (State::Revising, Stage::Revise),
    ] {
        let waits = met(&ticket(state.clone()), outcome(asked.clone()), &Policy::standard()).unwrap().next;
        assert_eq!((&waits.state, waits.asking), (&State::AwaitingAnswers, Some(stage)));
        let admin = || member("mem_ada", Role::Admin);
        let again = ask(&waits, admin(), Request::Analyze, &Policy::standard());
        assert_eq!(again, Err(Why::State), "an approved plan is not forgotten by starting over");
        let answer = Request::Answer { answers: artifact(2, "answers") };
        let goes_on = ask(&waits, admin(), answer, &Policy::standard()).unwrap();
        assert_eq!((&goes_on.state, goes_on.asking), (&state, None));
        assert_eq!(goes_on.checkpoint, Some(hash("asked")));
        assert!(goes_on.run > waits.run);
    }
    let judging = met(&ticket(State::Reviewing), outcome(asked), &Policy::standard());
    assert_eq!(judging.map(|decision| decision.next.state), Err(Why::Outdated), "a review asks nobody");
}

#[test]
fn a_run_at_its_limit_waits_and_goes_on_from_its_checkpoint() {
    let limit = Outcome::OverLimit { what: "60 turns".to_owned(), checkpoint: hash("there") };
    let paused = met(&ticket(State::Implementing), outcome(limit), &Policy::standard()).unwrap().next;
    assert!(matches!(paused.state, State::Paused { why: PauseReason::Limit, .. }), "{:?}", paused.state);
    for request in [Request::Resume, Request::Budget { add: Usd::from_dollars(1) }] {
        let next = ask(&paused, member("mem_ada", Role::Admin), request, &Policy::standard()).unwrap();
        assert_eq!((next.state, next.checkpoint), (State::Implementing, Some(hash("there"))));
    }
}

#[test]
fn people_have_as_many_days_as_the_policy_says() {
    let policy = Policy { answer_deadline_days: 3, approval_deadline_days: 10, ..Policy::standard() };
    let reviewed = Outcome::Reviewed { review: artifact(1, "review"), critical: 0, gates: gates() };
    for (state, what, days) in [
        (
            State::Refining,
            Outcome::FollowUp { questions: artifact(2, "more"), checkpoint: hash("checkpoint") },
            Some(3),
        ),
        (State::Refining, Outcome::Refined { refinement: artifact(2, "refinement 2") }, Some(10)),
        (State::Planning, Outcome::Planned { plan: artifact(3, "plan 3") }, Some(10)),
        (State::Reviewing, reviewed, Some(10)),
        (State::Implementing, Outcome::Implemented { change_set: artifact(2, "change 2") }, None),
        (State::Publishing, Outcome::Published { pull_request: ticket(State::InReview).pull_request.unwrap() }, None),
    ] {
        let next = met(&ticket(state), outcome(what), &policy).unwrap().next;
        assert_eq!(next.deadline, days.map(|days| seconds(days * 24 * 60 * 60)), "{:?}", next.state);
    }
}

#[test]
fn a_wait_ends_when_its_deadline_has_come_and_not_before() {
    for state in states().into_iter().filter(|state| state.awaits_decision() || *state == State::AwaitingAnswers) {
        let mut waiting = ticket(state.clone());
        let mut at = |deadline| {
            waiting.deadline = deadline;
            met(&waiting, Happening::DeadlinePassed, &Policy::standard()).map(|decision| decision.next.state)
        };
        assert_eq!(at(Some(seconds(1))), Err(Why::Outdated));
        assert_eq!(at(None), Err(Why::Outdated));
        for due in [now(), seconds(-1)] {
            let paused = State::Paused { from: Box::new(state.clone()), why: PauseReason::Deadline };
            assert_eq!(at(Some(due)), Ok(paused));
        }
    }
}

#[test]
fn critical_findings_send_a_change_back_until_its_rounds_are_used_up() {
    let policy = Policy { max_review_rounds: 3, ..Policy::standard() };
    let mut at = ticket(State::Reviewing);
    let reviewed = |at: &Ticket, critical| {
        let review = Outcome::Reviewed { review: artifact(1, "review"), critical, gates: Vec::new() };
        met(at, outcome(review), &policy).unwrap().next
    };
    for round in 1..=2 {
        assert_eq!(reviewed(&at, 0).state, State::Publishing);
        let next = reviewed(&at, 2);
        assert_eq!((&next.state, next.review_rounds), (&State::Implementing, round));
        at = Ticket { state: State::Reviewing, ..next };
    }
    let reasons = vec![GateReason::UnresolvedFindings { count: 2 }];
    assert_eq!(reviewed(&at, 2).state, State::AwaitingDiffApproval { reasons });
    assert_eq!(reviewed(&at, 0).state, State::Publishing);
}

#[test]
fn failing_checks_are_repaired_as_often_as_allowed_since_a_person_last_had_a_say() {
    let policy = Policy { autofix_checks: true, autofix_attempts: 2, ..Policy::standard() };
    let failed = |of: &str| Happening::News(News::ChecksFailed { batch: hash(of) });
    let checks = failed("checks");
    let mut at = ticket(State::InReview);
    for repairs in 1..=2 {
        let next = met(&at, failed(&format!("checks {repairs}")), &policy).unwrap().next;
        assert_eq!((&next.state, next.repairs), (&State::Revising, repairs));
        at = Ticket { state: State::InReview, ..next };
    }
    assert_eq!(met(&at, failed("checks 2"), &policy), Err(Why::Outdated), "each failure is dealt with once");
    let over = met(&at, checks.clone(), &policy).unwrap();
    assert_eq!((&over.next.state, over.next.repairs), (&State::InReview, 2), "people are told, and nothing runs");
    assert!(over.effects.iter().any(|effect| matches!(effect, Effect::Notify(Notice::Told { .. }))));
    let at = over.next;
    assert_eq!(met(&at, checks.clone(), &policy), Err(Why::Outdated), "and told once");
    let checks = failed("later");
    let review = Happening::News(News::ReviewSubmitted { batch: hash("batch") });
    let said = met(&at, review, &policy).unwrap().next;
    assert!(met(&Ticket { state: State::InReview, ..said }, checks.clone(), &policy).is_ok());
    for (tenant, ticket_s, repaired) in
        [(false, None, false), (false, Some(true), true), (true, Some(false), false), (true, None, true)]
    {
        let policy = Policy { autofix_checks: tenant, ..Policy::standard() };
        let open = Ticket { autofix: ticket_s, ..ticket(State::InReview) };
        assert_eq!(met(&open, checks.clone(), &policy).is_ok(), repaired, "{tenant} {ticket_s:?}");
    }
}

#[test]
fn green_checks_make_a_draft_ready_once_for_each_commit() {
    let policy = Policy::standard();
    let passed = || Happening::News(News::ChecksPassed);
    let ready = met(&ticket(State::InReview), passed(), &policy).unwrap();
    assert!(ready.effects.contains(&Effect::Notify(Notice::Ready)));
    assert_eq!(met(&ready.next, passed(), &policy), Err(Why::Outdated));
    let open = Policy { draft_pull_requests: false, ..policy };
    let passed = met(&ticket(State::InReview), passed(), &open).unwrap();
    assert!(!passed.effects.contains(&Effect::Notify(Notice::Ready)), "there is no draft to make ready");
}

#[test]
fn whoever_pushes_takes_the_repairs_over() {
    let policy = Policy { autofix_checks: true, ..Policy::standard() };
    let pushed = |head: &str| Happening::News(News::Pushed { head: CommitSha::parse(&head.repeat(40)).unwrap() });
    let at = ticket(State::InReview);
    let shown = at.pull_request.as_ref().unwrap().head.to_string();
    let ours = Happening::News(News::Pushed { head: CommitSha::parse(&shown).unwrap() });
    assert_eq!(met(&at, ours, &policy), Err(Why::Outdated), "that was our own push");
    let next = met(&at, pushed("d"), &policy).unwrap().next;
    assert_eq!((&next.state, next.autofix), (&State::InReview, Some(false)));
    assert_eq!(met(&next, pushed("e"), &policy), Err(Why::Outdated), "said once");
    let failed = Happening::News(News::ChecksFailed { batch: hash("checks") });
    assert_eq!(met(&next, failed, &policy), Err(Why::Outdated));
}

#[test]
fn conflicts_are_resolved_on_request_alone() {
    let at = ticket(State::InReview);
    let told = met(&at, Happening::News(News::Conflicted), &Policy::standard()).unwrap();
    assert_eq!(told.next.state, State::InReview);
    assert!(told.effects.iter().any(|effect| matches!(effect, Effect::Notify(Notice::Told { .. }))));
    let fix = Request::Fix { what: FixWhat::Conflicts, batch: None, instruction: "keep both".to_owned() };
    let next = ask(&at, member("mem_x", Role::Writer), fix, &Policy::standard()).unwrap();
    assert_eq!(next.state, State::Snapshotting { then: Stage::Implement });
    assert!(next.feedback.as_ref().unwrap().ends_with("keep both"));
}

#[test]
fn a_retry_goes_on_from_the_transcript_unless_it_led_to_the_failure() {
    for (fault, kept) in [(Fault::Invalid, false), (Fault::Permission, true), (Fault::Quota, true)] {
        let mut at = ticket(State::Failed { from: Box::new(State::Planning), error: failure(fault.clone()) });
        (at.checkpoint, at.answer) = (Some(hash("checkpoint")), Some(hash("answer")));
        for retries in 1..=2 {
            at.retries = retries;
            let next = ask(&at, member("mem_x", Role::Writer), Request::Retry, &Policy::standard()).unwrap();
            assert_eq!((&next.state, next.retries), (&State::Planning, retries + 1));
            assert_eq!((next.checkpoint.is_some(), next.answer.is_some()), (kept, kept), "{fault:?}");
        }
    }
}
