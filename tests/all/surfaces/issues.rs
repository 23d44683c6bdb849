//! The whole way on GitHub alone: issue, questions, plan, approvals, pull request, merge, all by comments.

use stories::world::{REPO, STRANGER, Setup, World};
use testkit::github::{GithubHost, Seen};

/// Our latest comment on a number that holds a text.
fn heard(github: &GithubHost, number: u64, text: &str) -> Option<Seen> {
    github.seen(REPO, number).into_iter().rfind(|seen| seen.by.ends_with("[bot]") && seen.body.contains(text))
}

pub(super) async fn hears(world: &World, number: u64, text: &str) -> Seen {
    let github = world.github.as_ref().unwrap();
    world.until(&format!("{text:?} on #{number}"), || async { heard(github, number, text) }).await
}

/// Waits until a comment was reacted to.
pub(super) async fn reacts(world: &World, number: u64, id: u64, reaction: &str) {
    let github = world.github.as_ref().unwrap();
    let looks = || async {
        let seen = github.seen(REPO, number).into_iter().find(|seen| seen.id == id)?;
        seen.reactions.iter().any(|is| is == reaction).then_some(())
    };
    world.until(&format!("{reaction} on {id}"), looks).await;
}

/// Opens an issue, labels it, and takes it to the plan that waits; returns its number and its key.
pub(super) async fn planned(world: &World, title: &str, body: &str) -> (u64, String) {
    let github = world.github.as_ref().unwrap();
    let issue = github.opens("wil", REPO, title, body);
    let key = format!("{REPO}#{issue}");
    assert_eq!(github.labels("wil", REPO, issue, "prfactory", true).await, 202);
    world.to_plan(&key).await;
    (issue, key)
}

#[expect(clippy::too_many_lines, reason = "a story is told in one piece")]
#[tokio::test(flavor = "multi_thread")]
async fn two_people_approve_one_plan_and_a_stale_approval_counts_for_nothing() {
    let policy = "required_approvals = 2\nseparate_requester = true".to_owned();
    let world = World::start(Setup { app: true, policy, ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let issue = github.opens("wil", REPO, "Call it gross", "Replace `total` with `gross`.");
    let key = format!("{REPO}#{issue}");
    assert_eq!(github.labels("wil", REPO, issue, "prfactory", true).await, 202);
    world
        .until("👀 on the issue", || async {
            github.reactions(REPO, issue).contains(&"eyes".to_owned()).then_some(())
        })
        .await;
    hears(&world, issue, "**Questions").await;
    let answered = github.comments("wil", REPO, issue, "Yes, all.\n\n@prfactory answer 1: All of them change").await;
    hears(&world, issue, "**Refined ticket").await;
    reacts(&world, issue, answered, "eyes").await;
    github.comments("apo", REPO, issue, "/prfactory approve").await;

    let first = hears(&world, issue, "**Plan v1").await;
    let ticket = world.reaches(&key, "awaiting_plan_approval").await;
    let stale = ticket.plan().unwrap().hash.short().to_owned();
    github.comments("apo", REPO, issue, &format!("@prfactory approve {stale}")).await;
    hears(&world, issue, "Approved so far by apo").await;
    github.comments("ada", REPO, issue, "@prfactory replan Leave `src/cart.py` as it is.").await;
    hears(&world, issue, "**Plan v2").await;
    let ticket = world.reaches(&key, "awaiting_plan_approval").await;
    let hash = ticket.plan().unwrap().hash.short().to_owned();
    assert_ne!(hash, stale);
    let folded = || async { github.seen(REPO, issue).into_iter().find(|seen| seen.id == first.id && seen.folded) };
    world.until("the first plan folded away", folded).await;

    let late = github.comments("ada", REPO, issue, &format!("@prfactory approve {stale}")).await;
    reacts(&world, issue, late, "confused").await;
    let refused = hears(&world, issue, "no longer the one that waits").await;
    let refused = refused.body.replace(&hash, "NEW").replace(&stale, "OLD");
    insta::assert_snapshot!(refused.split("<!--").next().unwrap().trim_end(), @"`OLD` is plan v1, which is no longer the one that waits. Changed since: v2: no longer touches src/cart.py; the summary changed. Read plan v2 and, if you agree, say `approve NEW`.");
    let refused = github.comments("wil", REPO, issue, &format!("@prfactory approve {hash}")).await;
    reacts(&world, issue, refused, "confused").await;
    hears(&world, issue, "needs the role *approver*; yours is *writer*").await;
    github.comments(STRANGER, REPO, issue, &format!("@prfactory approve {hash}")).await;

    github.comments("apo", REPO, issue, &format!("@prfactory approve {hash}")).await;
    hears(&world, issue, "Approved so far by apo").await;
    assert_eq!(github.pulls(REPO), 0, "one of two is not enough");
    github.comments("ada", REPO, issue, &format!("@prfactory approve {hash} -- thank you")).await;
    let ticket = world.reaches(&key, "in_review").await;
    let number = ticket.pull_request.as_ref().unwrap().number;
    world.drained().await;
    let pull = github.pull(REPO, number).unwrap();
    assert!(pull.draft && github.is_signed(REPO, &pull.head));
    assert!(pull.body.contains(&format!("Closes #{issue}")) && pull.body.contains("approved by ada: thank you"));
    let message = world.run_git(&["log", "-1", "--format=%B", &pull.head]);
    assert!(message.contains("Co-authored-by: wil <3+wil@users.noreply.github.com>"), "{message}");
    let checks = github.checks(REPO, &pull.head);
    let names: Vec<_> = checks.iter().map(|(name, conclusion, _)| (name.as_str(), conclusion.as_deref())).collect();
    assert_eq!(names, [("prfactory/plan", Some("success")), ("prfactory/implementation", Some("success"))]);
    let rocket = || async { github.reactions(REPO, issue).contains(&"rocket".to_owned()).then_some(()) };
    world.until("🚀 on the issue", rocket).await;
    assert_eq!(github.issue(REPO, issue).unwrap().0, ["prfactory", "prfactory:in-review"]);

    let asked = github.comments("wil", REPO, number, "@prfactory status").await;
    hears(&world, number, "This ticket has spent").await;
    reacts(&world, number, asked, "+1").await;
    github.closes("ada", REPO, number, true).await;
    world.reaches(&key, "completed").await;
    world.drained().await;
    assert_eq!(github.issue(REPO, issue).unwrap(), (vec!["prfactory".to_owned()], false));
    let statuses = github.seen(REPO, issue).into_iter().filter(|seen| seen.body.contains("Cost so far")).count();
    assert_eq!(statuses, 1, "one status comment, edited in place");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_filled_and_what_people_write_beside_our_part_stays() {
    let template = "## Description\n\n## How was it tested?\n\n- [ ] I read the guide\n".to_owned();
    let mut files: Vec<(&'static str, String)> = stories::world::usual_files();
    files.push((".github/PULL_REQUEST_TEMPLATE.md", template));
    let world =
        World::start(Setup { app: true, files, policy: "sign_off = true".to_owned(), ..Setup::default() }).await;
    let github = world.github.as_ref().unwrap();
    let (_, key) = planned(&world, "Raise the tax", "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.").await;
    world.approve("ada", &key).await;
    let ticket = world.reaches(&key, "in_review").await;
    let number = ticket.pull_request.as_ref().unwrap().number;
    let pull = github.pull(REPO, number).unwrap();
    let tested = pull.body.split("## How was it tested?").nth(1).unwrap();
    assert!(tested.contains("### Verification") && tested.contains("- [ ] I read the guide"), "{}", pull.body);
    let message = world.run_git(&["log", "-1", "--format=%B", &pull.head]);
    let sign_off = "Signed-off-by: prfactory[bot] <9001+prfactory[bot]@users.noreply.github.com>";
    assert!(message.contains(sign_off), "{message}");
    world.end().await;
}
