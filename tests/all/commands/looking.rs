//! Commands that show, or change what the ticket may use.

use insta::assert_snapshot;

use super::matrix::row;

#[test]
fn help() {
    assert_snapshot!(row("help"), @r"
    everywhere:
      Start a line with `@prfactory` or `/prfactory`:
      
      | command | what it does | least role |
      |---|---|---|
      | `help` | explains the commands | reader |
      | `status` | shows state, cost and the next step | reader |
      | `config` | shows the settings in force | reader |
      | `analyze` | starts the analysis, or starts it over | writer |
      | `ask QUESTION` | answers a question about the code | writer |
      | `answer 1: TEXT 2: TEXT` | answers questions; what is left out takes its default | writer |
      | `skip` | takes the default of every question | writer |
      | `plan` | goes on to planning with the defaults | writer |
      | `replan INSTRUCTION` | revises the plan | writer |
      | `approve [HASH] [-- NOTE]` | decides for what waits; plans and diffs need their hash | approver |
      | `reject REASON` | decides against what waits | approver |
      | `implement` | starts on an approved plan | writer |
      | `close` | ends here: the plan was the product | writer |
      | `fix [ci\|review\|conflicts] [INSTRUCTION]` | works on the open pull request | writer |
      | `autofix on\|off` | switches the repair of failing checks | writer |
      | `retry` | goes on from the failed step | writer |
      | `cancel` | calls the ticket off | writer |
      | `pause` | stops until resumed | writer |
      | `resume` | goes on after a pause | writer |
      | `budget [+USD]` | shows or raises the budget | approver |
      | `model NAME` | uses another model for this ticket | approver |
      | `repo OWNER/NAME[@BRANCH]` | works in another repository | approver |
    ");
}

#[test]
fn status() {
    assert_snapshot!(row("status"), @"
    snapshotting:
      **KEY**: fetching the repository. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `pause` or `cancel` stops it.
    analyzing:
      **KEY**: reading the repository. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `pause` or `cancel` stops it.
    awaiting_answers:
      **KEY**: waiting for answers. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `answer 1: …` or `skip`.
    refining:
      **KEY**: writing the refined ticket. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `pause` or `cancel` stops it.
    awaiting_refinement_approval:
      **KEY**: waiting for a decision on the refined ticket. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `approve` or `reject REASON`.
    planning:
      **KEY**: writing the plan. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `pause` or `cancel` stops it.
    awaiting_plan_approval:
      **KEY**: waiting for a decision on the plan. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `approve HASH`, `replan INSTRUCTION` or `reject REASON`.
    plan_approved:
      **KEY**: plan approved, not started. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `implement` or `close`.
    implementing:
      **KEY**: making the change. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `pause` or `cancel` stops it.
    reviewing:
      **KEY**: reviewing the change. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `pause` or `cancel` stops it.
    awaiting_diff_approval:
      **KEY**: waiting for a decision on the diff. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `approve HASH` or `reject REASON`.
    publishing:
      **KEY**: opening the pull request. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `pause` or `cancel` stops it.
    in_review:
      **KEY**: pull request open. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: review or merge it; `fix INSTRUCTION` has it changed.
    revising:
      **KEY**: working through the review. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `pause` or `cancel` stops it.
    paused:
      **KEY**: paused. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `resume`.
    cancelling:
      **KEY**: cancelling. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: wait; `status` says when it is over.
    failed:
      **KEY**: failed. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `retry` or `cancel`.
    completed:
      **KEY**: done. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `analyze` or a new trigger starts again.
    closed:
      **KEY**: closed. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `analyze` or a new trigger starts again.
    cancelled:
      **KEY**: cancelled. This ticket has spent $0.xx of $5.00; the tenant $0.xx this month. Next: `analyze` or a new trigger starts again.
    ");
}

#[test]
fn config() {
    assert_snapshot!(row("config"), @"
    everywhere:
      | setting | value | from |
      |---|---|---|
      | `allowed_repositories` | [] | default |
      | `answer_deadline_days` | 7 | default |
      | `approval_deadline_days` | 7 | default |
      | `approver_teams` | [] | default |
      | `autofix_attempts` | 3 | default |
      | `autofix_checks` | false | default |
      | `budget_usd` | $5.00 | default |
      | `collaborators_may_write` | true | default |
      | `draft_pull_requests` | true | default |
      | `implement_on_approval` | false | tenant |
      | `max_minutes` | 1440 | default |
      | `max_plan_revisions` | 5 | default |
      | `max_questions` | 7 | default |
      | `max_review_rounds` | 3 | default |
      | `max_tokens` | 10000000 | default |
      | `max_turns` | 60 | default |
      | `models` | {} | default |
      | `monthly_budget_usd` | $200.00 | default |
      | `prompts` | built in | default |
      | `public_ticket_details` | false | default |
      | `required_approvals` | 1 | default |
      | `sensitive_paths` | [] | default |
      | `separate_requester` | false | default |
      | `sign_off` | false | default |
      | `skip_plan_approval` | false | default |
      | `skip_refinement_approval` | false | default |
    ");
}

#[test]
fn ask_where_is_the_tax() {
    assert_snapshot!(row("ask Where is the tax?"), @"
    everywhere:
      `ask` is not available here. `status` shows where the ticket stands, `help` what works.
    ");
}

#[test]
fn budget() {
    assert_snapshot!(row("budget"), @"
    everywhere:
      This ticket has spent $0.xx of $5.00; the tenant $0.xx this month.
    ");
}

#[test]
fn budget_2() {
    assert_snapshot!(row("budget +2"), @"
    snapshotting:
      stays; **PRFactory** · KEY · **fetching the repository** / Done: budget raised by $2.00 to $7.00.
    analyzing:
      stays; **PRFactory** · KEY · **reading the repository** / Done: budget raised by $2.00 to $7.00.
    awaiting_answers:
      stays; **PRFactory** · KEY · **waiting for answers** / Done: budget raised by $2.00 to $7.00.
    refining:
      stays; **PRFactory** · KEY · **writing the refined ticket** / Done: budget raised by $2.00 to $7.00.
    awaiting_refinement_approval:
      stays; **PRFactory** · KEY · **waiting for a decision on the refined ticket** / Done: budget raised by $2.00 to $7.00.
    planning:
      stays; **PRFactory** · KEY · **writing the plan** / Done: budget raised by $2.00 to $7.00.
    awaiting_plan_approval:
      stays; **PRFactory** · KEY · **waiting for a decision on the plan** / Done: budget raised by $2.00 to $7.00.
    plan_approved:
      stays; **PRFactory** · KEY · **plan approved, not started** / Done: budget raised by $2.00 to $7.00.
    implementing:
      stays; **PRFactory** · KEY · **making the change** / Done: budget raised by $2.00 to $7.00.
    reviewing:
      stays; **PRFactory** · KEY · **reviewing the change** / Done: budget raised by $2.00 to $7.00.
    awaiting_diff_approval:
      stays; **PRFactory** · KEY · **waiting for a decision on the diff** / Done: budget raised by $2.00 to $7.00.
    publishing:
      stays; **PRFactory** · KEY · **opening the pull request** / Done: budget raised by $2.00 to $7.00.
    in_review:
      stays; **PRFactory** · KEY · **pull request open** / Done: budget raised by $2.00 to $7.00.
    revising:
      stays; **PRFactory** · KEY · **working through the review** / Done: budget raised by $2.00 to $7.00.
    paused:
      stays; **PRFactory** · KEY · **paused** / Done: budget raised by $2.00 to $7.00.
    cancelling:
      stays; **PRFactory** · KEY · **cancelling** / Done: budget raised by $2.00 to $7.00.
    failed:
      stays; **PRFactory** · KEY · **failed** / Done: budget raised by $2.00 to $7.00.
    refused: completed, closed, cancelled
    ");
}

#[test]
fn budget_lots() {
    assert_snapshot!(row("budget lots"), @"
    everywhere:
      The amount is added, in dollars: `+2` or `+0.50`. Usage: `budget [+USD]`.
    ");
}

#[test]
fn model_claude_sonnet_4_5() {
    assert_snapshot!(row("model claude-sonnet-4-5"), @"
    snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed:
      stays; Done: model claude-sonnet-4-5 is used from the next run on.
    refused: completed, closed, cancelled
    ");
}

#[test]
fn autofix_on() {
    assert_snapshot!(row("autofix on"), @"
    snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed:
      stays; Done: repair of failing checks switched on.
    refused: completed, closed, cancelled
    ");
}

#[test]
fn autofix_off() {
    assert_snapshot!(row("autofix off"), @"
    snapshotting, analyzing, awaiting_answers, refining, awaiting_refinement_approval, planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed:
      stays; Done: repair of failing checks switched off.
    refused: completed, closed, cancelled
    ");
}

#[test]
fn repo_codertocat_hello_world_main() {
    assert_snapshot!(row("repo Codertocat/Hello-World@main"), @"
    snapshotting:
      stays; Done: repository Codertocat/Hello-World on main.
    analyzing, awaiting_answers, refining, awaiting_refinement_approval:
      → snapshotting; **PRFactory** · KEY · **fetching the repository**
    refused: planning, awaiting_plan_approval, plan_approved, implementing, reviewing, awaiting_diff_approval, publishing, in_review, revising, paused, cancelling, failed, completed, closed, cancelled
    ");
}

#[test]
fn repo_octo_unknown() {
    assert_snapshot!(row("repo octo/unknown"), @"
    everywhere:
      `octo/unknown` is not connected to this tenant. Someone with the role *admin* can connect it.
    ");
}

#[test]
fn aprove() {
    assert_snapshot!(row("aprove"), @"
    everywhere:
      Unknown command `aprove`. Did you mean `approve`? Say `help` for the list.
    ");
}
