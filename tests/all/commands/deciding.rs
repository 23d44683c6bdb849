//! Commands that answer, decide and start.

use insta::assert_snapshot;

use super::matrix::row;

#[test]
fn answer_1_yes() {
    assert_snapshot!(row("answer 1: yes"), @"
    awaiting_answers:
      → refining; **PRFactory** · KEY · **writing the refined ticket**
    refused: snapshotting, analyzing, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn answer_99_yes() {
    assert_snapshot!(row("answer 99: yes"), @"
    awaiting_answers:
      There is no question 99. The questions are 1 to 1; say `answer 1: …` or `skip`.
    refused: snapshotting, analyzing, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn skip() {
    assert_snapshot!(row("skip"), @"
    awaiting_answers:
      → refining; **PRFactory** · KEY · **writing the refined ticket**
    refused: snapshotting, analyzing, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn plan() {
    assert_snapshot!(row("plan"), @"
    awaiting_answers:
      → refining; **PRFactory** · KEY · **writing the refined ticket**
    refused: snapshotting, analyzing, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn replan_use_0_3() {
    assert_snapshot!(row("replan Use 0.3."), @"
    awaiting_plan_approval, plan_approved:
      → planning; **PRFactory** · KEY · **writing the plan**
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn approve() {
    assert_snapshot!(row("approve"), @"
    awaiting_refinement_approval:
      → planning; **PRFactory** · KEY · **writing the plan**
    awaiting_plan_approval, awaiting_diff_approval:
      Say exactly what you approve: `approve HASH`.
    refused: snapshotting, analyzing, awaiting_answers, refining, planning, plan_approved, implementing, reviewing, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn approve_hash() {
    assert_snapshot!(row("approve HASH"), @"
    awaiting_refinement_approval:
      → planning; **PRFactory** · KEY · **writing the plan**
    awaiting_plan_approval:
      → plan_approved; **PRFactory** · KEY · **plan approved, not started**
    awaiting_diff_approval:
      → publishing; **PRFactory** · KEY · **opening the pull request**
    refused: snapshotting, analyzing, awaiting_answers, refining, planning, plan_approved, implementing, reviewing, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn approve_0123456789ab() {
    assert_snapshot!(row("approve 0123456789ab"), @"
    awaiting_refinement_approval, awaiting_plan_approval, awaiting_diff_approval:
      `HASH` names nothing that waits here. What waits is `approve HASH`.
    refused: snapshotting, analyzing, awaiting_answers, refining, planning, plan_approved, implementing, reviewing, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn reject_too_much() {
    assert_snapshot!(row("reject Too much."), @"
    awaiting_refinement_approval:
      → refining; **PRFactory** · KEY · **writing the refined ticket**
    awaiting_plan_approval:
      → planning; **PRFactory** · KEY · **writing the plan**
    awaiting_diff_approval:
      → implementing; **PRFactory** · KEY · **making the change**
    refused: snapshotting, analyzing, awaiting_answers, refining, planning, plan_approved, implementing, reviewing, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn implement() {
    assert_snapshot!(row("implement"), @"
    plan_approved:
      → snapshotting; **PRFactory** · KEY · **fetching the repository**
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn close() {
    assert_snapshot!(row("close"), @"
    plan_approved:
      → closed; **PRFactory** · KEY · **closed**
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}
