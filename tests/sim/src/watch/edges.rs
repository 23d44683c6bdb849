//! The edges of the machine, written down a second time from its description rather than from its code.

use domain::state::State;

/// Where each state leads by itself or by a person; cancelling, pausing and failing are in [`allowed`].
const EDGES: [(&str, &[&str]); 14] = [
    ("snapshotting", &["analyzing", "planning", "implementing"]),
    ("analyzing", &["awaiting_answers", "refining", "snapshotting"]),
    // Whoever asked goes on with the answer.
    ("awaiting_answers", &["refining", "snapshotting", "planning", "implementing", "revising"]),
    ("refining", &["awaiting_refinement_approval", "awaiting_answers", "planning", "snapshotting"]),
    ("awaiting_refinement_approval", &["planning", "refining", "snapshotting"]),
    ("planning", &["awaiting_answers", "awaiting_plan_approval", "plan_approved", "snapshotting"]),
    ("awaiting_plan_approval", &["snapshotting", "plan_approved", "planning"]),
    ("plan_approved", &["snapshotting", "planning"]),
    ("implementing", &["reviewing", "awaiting_answers"]),
    ("reviewing", &["implementing", "awaiting_diff_approval", "publishing"]),
    ("awaiting_diff_approval", &["publishing", "implementing"]),
    ("publishing", &["in_review", "revising", "awaiting_diff_approval"]),
    ("in_review", &["revising"]),
    ("revising", &["reviewing", "awaiting_answers"]),
];

/// Says whether one state may follow another.
pub(crate) fn allowed(from: &State, to: &State) -> bool {
    let leads = |from: &str| EDGES.iter().any(|(state, next)| *state == from && next.contains(&to.name()));
    if from.is_end() {
        return false;
    }
    match (from, to) {
        (State::Cancelling { .. }, to) => matches!(to, State::Cancelled | State::Completed),
        // A merge, a closed pull request or a cancel ends any other state.
        (_, State::Completed | State::Closed | State::Cancelled | State::Cancelling { .. }) => true,
        (State::Paused { .. } | State::Failed { .. }, State::Paused { .. } | State::Failed { .. }) => false,
        // A stop leads back to where it came from; a waiting review is taken up, an unapproved ticket starts over.
        (State::Paused { from, .. } | State::Failed { from, .. }, to) => {
            from.name() == to.name()
                || (**from == State::InReview && *to == State::Revising)
                || (leads(from.name()) && to.name() == "snapshotting")
                || (from.name() == "snapshotting" && to.name() == "snapshotting")
        }
        (_, State::Paused { .. }) => true,
        (from, State::Failed { .. }) => from.stage().is_some(),
        (from, _) => leads(from.name()),
    }
}
