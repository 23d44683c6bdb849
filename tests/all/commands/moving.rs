//! Commands that stop and go on.

use insta::assert_snapshot;

use super::matrix::row;

#[test]
fn analyze() {
    assert_snapshot!(row("analyze"), @"
    snapshotting:
      stays; Done: analysis starts over.
    analyzing, awaiting_answers, refining, awaiting_refinement_approval, completed, closed, cancelled:
      → snapshotting; **PRFactory** · KEY · **fetching the repository**
    refused: planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed
    ");
}

#[test]
fn fix() {
    assert_snapshot!(row("fix"), @"
    in_review:
      → revising; **PRFactory** · KEY · **working through the review**
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn fix_ci() {
    assert_snapshot!(row("fix ci"), @"
    in_review:
      This repository's checks cannot be read here. Say what to fix: `fix review INSTRUCTION`.
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn fix_review_rename_it() {
    assert_snapshot!(row("fix review Rename it."), @"
    in_review:
      → revising; **PRFactory** · KEY · **working through the review**
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn fix_conflicts() {
    assert_snapshot!(row("fix conflicts"), @"
    in_review:
      → snapshotting; **PRFactory** · KEY · **fetching the repository**
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn retry() {
    assert_snapshot!(row("retry"), @"
    failed:
      → planning; **PRFactory** · KEY · **writing the plan**
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, completed, closed, cancelled
    ");
}

#[test]
fn cancel() {
    assert_snapshot!(row("cancel"), @"
    snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, failed:
      → cancelled; **PRFactory** · KEY · **cancelled**
    refused: cancelling, completed, closed, cancelled
    ");
}

#[test]
fn pause() {
    assert_snapshot!(row("pause"), @"
    snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising:
      → paused; **PRFactory** · KEY · **paused**
    refused: paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn resume() {
    assert_snapshot!(row("resume"), @"
    paused:
      → awaiting_plan_approval; **PRFactory** · KEY · **waiting for a decision on the plan**
    refused: snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, cancelling, failed, completed, closed, cancelled
    ");
}
