//! The machine beside the model of it: both take the same steps and have to agree after each.

use std::collections::BTreeSet;

use proptest::prelude::ProptestConfig;
use proptest_state_machine::{StateMachineTest, prop_state_machine};

use super::model::{At, Hashed, Model, PEOPLE, Step, Word, policy};
use super::*;

/// The real machine, with the numbers that its artifacts are named by.
struct Real {
    ticket: Ticket,
    model: Model,
}

impl Real {
    fn outcome(&self, coin: bool) -> Outcome {
        let model = &self.model;
        match self.ticket.state.stage().unwrap_or(Stage::Analyze) {
            Stage::Snapshot if coin && model.at == At::Reading(Stage::Implement) => {
                Outcome::BaseMoved { changed: "`a` changed".to_owned() }
            }
            Stage::Snapshot => Outcome::Snapshotted { commit: sha(), snapshot: hash("snapshot"), overrides: None },
            Stage::Analyze => {
                let questions = coin.then(|| artifact(1, "questions"));
                Outcome::Analyzed { analysis: artifact(1, "analysis"), questions }
            }
            Stage::Refine => {
                let version = model.refinements + 1;
                Outcome::Refined { refinement: artifact(version, &format!("refinement {version}")) }
            }
            Stage::Plan => {
                let version = model.plans + 1;
                Outcome::Planned { plan: artifact(version, &format!("plan {version}")) }
            }
            stage @ (Stage::Implement | Stage::Revise) => {
                let version = model.changes + 1;
                let change_set = artifact(version, &format!("change {version}"));
                let revised = stage == Stage::Revise;
                if revised {
                    Outcome::Revised { change_set, answer: None }
                } else {
                    Outcome::Implemented { change_set }
                }
            }
            Stage::Review => {
                let gates = if coin { gates() } else { Vec::new() };
                Outcome::Reviewed { review: artifact(1, "review"), critical: 0, gates }
            }
            Stage::Publish => {
                Outcome::Published { pull_request: PullRequestRef { number: 7, url: "u".to_owned(), head: sha() } }
            }
        }
    }

    fn request(&self, word: Word) -> Request {
        let text = || "text".to_owned();
        let named = |hashed| match hashed {
            Hashed::This => self.ticket.awaiting().and_then(|artifact| HashPrefix::parse(artifact.hash.short())),
            Hashed::Older => prefix("plan 1").filter(|_| self.model.plans > 1).or_else(|| prefix("something else")),
            Hashed::Nothing => None,
        };
        match word {
            Word::Approve(hashed) => Request::Approve { hash: named(hashed), note: String::new() },
            Word::Reject => Request::Reject { reason: text() },
            Word::Answer => Request::Answer { answers: artifact(1, "answers") },
            Word::Replan => Request::Replan { instruction: text() },
            Word::Implement => Request::Implement,
            Word::Close => Request::Close,
            Word::Cancel => Request::Cancel,
            Word::Pause => Request::Pause,
            Word::Resume => Request::Resume,
            Word::Retry => Request::Retry,
            Word::Analyze => Request::Analyze,
        }
    }

    fn input(&self, step: Step) -> Input {
        let system = |what| Input { by: Principal::System, what };
        match step {
            Step::Finish(coin) => system(Happening::Outcome(self.outcome(coin))),
            Step::Break => system(Happening::Outcome(Outcome::Failed { failure: failure(Fault::Permission) })),
            Step::Intend => system(Happening::Outcome(Outcome::IntentStarted { intent: "publish".to_owned() })),
            Step::ReadBack => system(Happening::Outcome(Outcome::CancelSettled { left: "nothing".to_owned() })),
            Step::Merged => system(Happening::News(News::Merged)),
            Step::Reviewed => system(Happening::News(News::ReviewSubmitted { batch: hash("batch") })),
            Step::Say(who, word) => {
                let (id, role) = PEOPLE[who];
                Input { by: member(id, role), what: Happening::Request(self.request(word)) }
            }
        }
    }
}

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = Real;
    type Reference = Model;

    fn init_test(model: &Model) -> Real {
        let mut ticket = ticket(State::Snapshotting { then: Stage::Analyze });
        (ticket.questions, ticket.refinement, ticket.change_set, ticket.pull_request) = (None, None, None, None);
        (ticket.deadline, ticket.pending, ticket.plans) = (None, None, Vec::new());
        Real { ticket, model: model.clone() }
    }

    fn apply(mut real: Real, model: &Model, step: Step) -> Real {
        let before = real.ticket.version;
        let decided = decide(&real.ticket, &real.input(step), &policy(), now());
        assert_eq!(decided.is_ok(), model.accepted, "{step:?} at {:?}: {decided:?}", real.model.at);
        if let Ok(decision) = decided {
            real.ticket = decision.next;
            assert_eq!(real.ticket.version, before + 1);
        }
        real.model = model.clone();
        real
    }

    fn check_invariants(real: &Real, model: &Model) {
        let (ticket, state) = (&real.ticket, &real.ticket.state);
        let as_people_say = match model.at {
            At::Reading(then) => *state == State::Snapshotting { then },
            At::Working(by) => *state == State::of_stage(by),
            At::Answers => *state == State::AwaitingAnswers,
            At::Refinement => *state == State::AwaitingRefinementApproval,
            At::Plan => *state == State::AwaitingPlanApproval,
            At::Approved => *state == State::PlanApproved,
            At::Diff => matches!(state, State::AwaitingDiffApproval { .. }),
            At::InReview => *state == State::InReview,
            At::Paused => matches!(state, State::Paused { .. }),
            At::Failed => matches!(state, State::Failed { .. }),
            At::Cancelling => matches!(state, State::Cancelling { .. }),
            At::Over => state.is_end(),
        };
        assert!(as_people_say, "{state:?} is not {:?}", model.at);
        let plan = model.plan_approved.then(|| hash(&format!("plan {}", model.plans)));
        assert_eq!(ticket.approved_plan, plan);
        if matches!(model.at, At::Refinement | At::Plan | At::Diff) {
            let people: BTreeSet<_> = ticket.decisions.iter().filter_map(|d| d.member.as_ref()).collect();
            assert_eq!(people.len(), model.yes.len());
        }
        if *state == State::Publishing {
            assert!(model.plan_approved, "something is published whose plan nobody approved");
        }
        assert_eq!(ticket.waiting_reviews.len(), model.waiting as usize);
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn the_machine_does_what_people_expect(sequential 20..120 => Machine);
}
