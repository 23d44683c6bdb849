//! The command table, in every state, on every surface.

mod deciding;
mod looking;
mod matrix;
mod moving;

use commands::VERBS;
use domain::principal::Role;
use insta::assert_snapshot;
use intake::Answer;
use stories::world::{Setup, World};

#[test]
fn every_verb_is_said_in_every_state() {
    for verb in VERBS {
        let said = matrix::matrix().keys().any(|command| command.split(' ').next() == Some(verb.name));
        assert!(said, "{} is missing", verb.name);
    }
}

#[test]
fn every_reply_is_there_and_every_refusal_names_a_command_or_a_role() {
    for (command, cells) in matrix::matrix() {
        for (state, text) in cells {
            let heads: Vec<&str> = text.split("; ").collect();
            assert!(!heads.last().unwrap().trim().is_empty(), "`{command}` in {state} is met with silence: {text}");
            let moved = text.starts_with('→') || text.starts_with("stays");
            let told = text.contains('`') || text.contains("*admin*");
            assert!(moved || told || command == "budget", "`{command}` in {state}: {text}");
        }
    }
}

#[test]
fn what_a_state_refuses() {
    assert_snapshot!(matrix::refusals(), @"
    snapshotting: `VERB` does not apply now (fetching the repository). What works: wait; `pause` or `cancel` stops it.
    analyzing: `VERB` does not apply now (reading the repository). What works: wait; `pause` or `cancel` stops it.
    awaiting_answers: `VERB` does not apply now (waiting for answers). What works: `answer 1: …` or `skip`.
    refining: `VERB` does not apply now (writing the refined ticket). What works: wait; `pause` or `cancel` stops it.
    awaiting_refinement_approval: `VERB` does not apply now (waiting for a decision on the refined ticket). What works: `approve` or `reject REASON`.
    planning: `VERB` does not apply now (writing the plan). What works: wait; `pause` or `cancel` stops it.
    awaiting_plan_approval: `VERB` does not apply now (waiting for a decision on the plan). What works: `approve HASH`, `replan INSTRUCTION` or `reject REASON`.
    plan_approved: `VERB` does not apply now (plan approved, not started). What works: `implement` or `close`.
    implementing: `VERB` does not apply now (making the change). What works: wait; `pause` or `cancel` stops it.
    reviewing: `VERB` does not apply now (reviewing the change). What works: wait; `pause` or `cancel` stops it.
    awaiting_diff_approval: `VERB` does not apply now (waiting for a decision on the diff). What works: `approve HASH` or `reject REASON`.
    publishing: `VERB` does not apply now (opening the pull request). What works: wait; `pause` or `cancel` stops it.
    in_review: `VERB` does not apply now (pull request open). What works: review or merge it; `fix INSTRUCTION` has it changed.
    revising: `VERB` does not apply now (working through the review). What works: wait; `pause` or `cancel` stops it.
    paused: `VERB` does not apply now (paused). What works: `resume`.
    cancelling: `VERB` does not apply now (cancelling). What works: wait; `status` says when it is over.
    failed: `VERB` does not apply now (failed). What works: `retry` or `cancel`.
    completed: `VERB` does not apply now (done). What works: `analyze` or a new trigger starts again.
    closed: `VERB` does not apply now (closed). What works: `analyze` or a new trigger starts again.
    cancelled: `VERB` does not apply now (cancelled). What works: `analyze` or a new trigger starts again.
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lacks_the_role_hears_which_it_takes() {
    let world = World::start(Setup::default()).await;
    world.planned("SHOP-1", "Tax", "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.").await;
    for verb in VERBS.iter().filter(|verb| verb.least > Role::Reader) {
        let arguments = match verb.name {
            "answer" => "1: yes",
            "budget" => "+1",
            "model" => "claude-sonnet-4-5",
            "repo" => "octo/more",
            "autofix" => "on",
            "ask" | "replan" | "reject" => "Something.",
            _ => "",
        };
        let who = if verb.least == Role::Writer { "rea" } else { "wil" };
        let answer = world.say(who, "SHOP-1", &format!("{} {arguments}", verb.name)).await;
        let Answer::Told { text, refused: true } = answer else { panic!("{}: {answer:?}", verb.name) };
        let needs = format!("`{}` needs the role *{}*; yours is", verb.name, verb.least.as_str());
        assert!(text.starts_with(&needs), "{text}");
    }
    assert_eq!(world.ticket("SHOP-1").await.unwrap().state.name(), "awaiting_plan_approval");
    world.end().await;
}
