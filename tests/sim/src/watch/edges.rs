//! The edges of the machine, written down a second time from its description rather than from its code.

/// Where each state leads by itself or by a person; cancel, pause and failure are in [`allowed`].
const EDGES: [(&str, &[&str]); 16] = [
    ("snapshotting", &["analyzing", "refining", "planning", "implementing", "reviewing", "revising", "publishing"]),
    ("analyzing", &["awaiting_answers", "refining", "snapshotting"]),
    ("awaiting_answers", &["refining", "snapshotting"]),
    ("refining", &["awaiting_refinement_approval", "awaiting_answers", "planning", "snapshotting"]),
    ("awaiting_refinement_approval", &["planning", "refining", "snapshotting"]),
    ("planning", &["awaiting_plan_approval", "plan_approved", "snapshotting"]),
    ("awaiting_plan_approval", &["snapshotting", "plan_approved", "planning"]),
    ("plan_approved", &["snapshotting", "planning", "closed", "completed"]),
    ("implementing", &["reviewing", "closed", "completed"]),
    ("reviewing", &["implementing", "awaiting_diff_approval", "publishing", "closed", "completed"]),
    ("awaiting_diff_approval", &["publishing", "implementing", "closed", "completed"]),
    ("publishing", &["in_review", "revising", "awaiting_diff_approval", "closed", "completed"]),
    ("in_review", &["revising", "closed", "completed"]),
    ("revising", &["reviewing", "closed", "completed"]),
    ("cancelling", &["cancelled", "completed"]),
    ("failed", &[]),
];

/// Says whether one state may follow another.
pub(crate) fn allowed(from: &str, to: &str) -> bool {
    match (from, to) {
        ("completed" | "closed" | "cancelled", _) => false,
        ("cancelling", to) => to == "cancelled" || to == "completed",
        // A stop leads back to where it came from, or to the start while nothing is approved.
        ("paused" | "failed", to) => to != "cancelling" || from == "paused" || from == "failed",
        (_, "cancelled" | "cancelling" | "paused") => true,
        (from, "failed") => RUNNING.contains(&from),
        (from, to) => EDGES.iter().any(|(state, next)| *state == from && next.contains(&to)),
    }
}

/// States in which a function works.
const RUNNING: [&str; 8] =
    ["snapshotting", "analyzing", "refining", "planning", "implementing", "reviewing", "publishing", "revising"];
