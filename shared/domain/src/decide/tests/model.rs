//! The machine as people understand it: who may do what when, and where that leads.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use super::*;

/// Where a ticket stands, in the words of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Reading(Stage),
    Working(Stage),
    Answers,
    Refinement,
    Plan,
    Approved,
    Diff,
    InReview,
    Paused,
    Failed,
    Cancelling,
    Over,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Hashed {
    This,
    Older,
    Nothing,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Approve(Hashed),
    Reject,
    Answer,
    Replan,
    Implement,
    Close,
    Cancel,
    Pause,
    Resume,
    Retry,
    Analyze,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The stage finishes; what that means depends on the stage, and for some on a coin.
    Finish(bool),
    Break,
    Intend,
    ReadBack,
    Merged,
    Reviewed,
    /// One of [`PEOPLE`] says something.
    Say(usize, Word),
}

/// Everybody who says something; two admins, so that the quorum of a sensitive diff can be reached.
pub(super) const PEOPLE: [(&str, Role); 5] = [
    ("mem_r", Role::Reader),
    ("mem_w", Role::Writer),
    ("mem_a", Role::Approver),
    ("mem_b", Role::Admin),
    ("mem_c", Role::Admin),
];

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about a ticket")]
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) at: At,
    pub(super) from: At,
    pub(super) accepted: bool,
    pub(super) steps: u64,
    pub(super) plans: u32,
    pub(super) changes: u32,
    pub(super) refinements: u32,
    pub(super) yes: BTreeSet<usize>,
    pub(super) plan_approved: bool,
    pub(super) intent: bool,
    pub(super) pull_request: bool,
    pub(super) waiting: u32,
}

pub(super) fn policy() -> Policy {
    Policy { required_approvals: 2, implement_on_approval: false, ..Policy::standard() }
}

impl Model {
    fn goes(&mut self, to: At) {
        self.yes.clear();
        self.intent &= to == At::Working(Stage::Publish);
        self.at = to;
    }

    fn in_review(&mut self) {
        if self.waiting == 0 {
            self.at = At::InReview;
        } else {
            self.waiting -= 1;
            self.goes(At::Working(Stage::Revise));
        }
    }

    fn finish(&mut self, coin: bool) -> bool {
        match self.at {
            At::Reading(Stage::Implement) if coin => {
                self.plan_approved = false;
                self.goes(At::Reading(Stage::Plan));
            }
            At::Reading(then) => self.goes(At::Working(then)),
            At::Working(Stage::Analyze) => self.goes(if coin { At::Answers } else { At::Working(Stage::Refine) }),
            At::Working(Stage::Refine) => {
                self.refinements += 1;
                self.goes(At::Refinement);
            }
            At::Working(Stage::Plan) => {
                self.plans += 1;
                self.goes(At::Plan);
            }
            At::Working(Stage::Implement | Stage::Revise) => {
                self.changes += 1;
                self.goes(At::Working(Stage::Review));
            }
            At::Working(Stage::Review) => self.goes(if coin { At::Diff } else { At::Working(Stage::Publish) }),
            At::Working(Stage::Publish) => {
                self.pull_request = true;
                self.intent = false;
                self.yes.clear();
                self.in_review();
            }
            _ => return false,
        }
        true
    }

    fn approve(&mut self, who: usize, hash: Hashed) -> bool {
        let (least, needed) = match self.at {
            At::Refinement => (Role::Approver, 1),
            At::Plan => (Role::Approver, 2),
            At::Diff => (Role::Admin, 2),
            _ => return false,
        };
        let right = matches!(hash, Hashed::This) || (self.at == At::Refinement && matches!(hash, Hashed::Nothing));
        if PEOPLE[who].1 < least || !right || !self.yes.insert(who) {
            return false;
        }
        if self.yes.len() >= needed {
            match self.at {
                At::Refinement => self.goes(At::Working(Stage::Plan)),
                At::Plan => {
                    self.plan_approved = true;
                    self.goes(At::Approved);
                }
                _ => self.goes(At::Working(Stage::Publish)),
            }
        }
        true
    }

    fn replan(&mut self) -> bool {
        if self.plans > policy().max_plan_revisions {
            return false;
        }
        self.plan_approved = false;
        self.goes(At::Working(Stage::Plan));
        true
    }

    fn before_approval(&self, at: At) -> bool {
        match at {
            At::Reading(then) => then == Stage::Analyze,
            At::Working(stage) => matches!(stage, Stage::Analyze | Stage::Refine),
            At::Answers | At::Refinement => true,
            At::Paused | At::Failed if self.from != at => self.before_approval(self.from),
            _ => false,
        }
    }

    fn says(&mut self, who: usize, word: Word) -> bool {
        let least = if matches!(word, Word::Approve(_) | Word::Reject) { Role::Approver } else { Role::Writer };
        if PEOPLE[who].1 < least || self.at == At::Over {
            return false;
        }
        match (word, self.at) {
            (Word::Approve(hash), _) => return self.approve(who, hash),
            (Word::Reject, At::Refinement) | (Word::Answer, At::Answers) => self.goes(At::Working(Stage::Refine)),
            (Word::Reject | Word::Replan, At::Plan) | (Word::Replan, At::Approved) => return self.replan(),
            (Word::Reject, At::Diff) => self.goes(At::Working(Stage::Implement)),
            (Word::Implement, At::Approved) => self.goes(At::Reading(Stage::Implement)),
            (Word::Close, At::Approved) => self.goes(At::Over),
            (Word::Cancel, at) if at != At::Cancelling => self.at = if self.intent { At::Cancelling } else { At::Over },
            (Word::Pause, at) if !matches!(at, At::Paused | At::Failed | At::Cancelling) => {
                (self.from, self.at) = (at, At::Paused);
            }
            (Word::Resume, At::Paused) | (Word::Retry, At::Failed) => self.goes_on(),
            (Word::Analyze, at) if self.before_approval(at) => self.goes(At::Reading(Stage::Analyze)),
            _ => return false,
        }
        true
    }

    fn goes_on(&mut self) {
        match self.from {
            At::InReview => self.in_review(),
            from @ (At::Reading(_) | At::Working(_)) => self.goes(from),
            from => self.at = from,
        }
    }

    fn step(&mut self, step: Step) -> bool {
        let running = matches!(self.at, At::Reading(_) | At::Working(_));
        match step {
            Step::Finish(coin) => return self.finish(coin),
            Step::Break if running => (self.from, self.at) = (self.at, At::Failed),
            Step::Intend if self.at == At::Working(Stage::Publish) => self.intent = true,
            Step::Break | Step::ReadBack if self.at == At::Cancelling => self.goes(At::Over),
            Step::Merged if self.pull_request && self.at != At::Over => self.goes(At::Over),
            Step::Reviewed if self.at == At::InReview => self.goes(At::Working(Stage::Revise)),
            Step::Reviewed if self.pull_request && !matches!(self.at, At::Over | At::Cancelling) => self.waiting += 1,
            Step::Say(who, word) => return self.says(who, word),
            _ => return false,
        }
        true
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let at = At::Reading(Stage::Analyze);
        let (yes, plan_approved, intent, pull_request) = (BTreeSet::new(), false, false, false);
        let (steps, plans, changes, refinements, waiting) = (0, 0, 0, 0, 0);
        let accepted = true;
        #[rustfmt::skip]
        let model = Self { at, from: at, accepted, steps, plans, changes, refinements, yes, plan_approved, intent, pull_request, waiting };
        Just(model).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let hashed = prop_oneof![5 => Just(Hashed::This), 1 => Just(Hashed::Older), 1 => Just(Hashed::Nothing)];
        let word = prop_oneof![
            12 => hashed.prop_map(Word::Approve),
            2 => Just(Word::Answer),
            2 => Just(Word::Implement),
            2 => Just(Word::Resume),
            2 => Just(Word::Retry),
            1 => prop_oneof![Just(Word::Reject), Just(Word::Replan), Just(Word::Pause), Just(Word::Analyze)],
            1 => prop_oneof![9 => Just(Word::Pause), 1 => Just(Word::Close), 1 => Just(Word::Cancel)],
        ];
        prop_oneof![
            8 => any::<bool>().prop_map(Step::Finish),
            1 => prop_oneof![2 => Just(Step::Break), 2 => Just(Step::Intend), 1 => Just(Step::ReadBack)],
            1 => prop_oneof![1 => Just(Step::Merged), 6 => Just(Step::Reviewed)],
            10 => (0..PEOPLE.len(), word).prop_map(|(who, word)| Step::Say(who, word)),
        ]
        .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.accepted = state.step(*step);
        state.steps += u64::from(state.accepted);
        state
    }
}
