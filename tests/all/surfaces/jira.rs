//! The whole way inside a ticket of Jira and on one pull request: the product's tour.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stories::world::{ADA_JIRA, REPO, Setup, World};
use testkit::github::Trouble;
use tracker::adf::{Node, to_markdown};

use super::tour::Tour;

/// What our latest comment on an issue says that holds a text.
fn heard(world: &World, key: &str, text: &str) -> Option<String> {
    let all = world.site.as_ref().unwrap().seen(key);
    let ours = all.into_iter().filter(|comment| comment.by == "PRFactory");
    let mut texts = ours.rev().map(|comment| to_markdown(&serde_json::from_value::<Node>(comment.body).unwrap()));
    texts.find(|said| said.contains(text))
}

pub(super) async fn hears(world: &World, key: &str, text: &str) -> String {
    world.until(&format!("{text:?} on {key}"), || async { heard(world, key, text) }).await
}

const HEAD: &str = "# Tour

One ticket, from a label in Jira to a merged pull request, with two rounds of review and a failing check. This page is
what people saw, written down by the story `surfaces::jira` of the test suite; `HASH`, `COMMIT` and `$0.0x` stand for what
differs from run to run.
";

#[expect(clippy::too_many_lines, reason = "a story is told in one piece")]
#[tokio::test(flavor = "multi_thread")]
async fn a_label_in_jira_becomes_a_merged_pull_request() {
    let policy = "autofix_checks = true".to_owned();
    let world = World::start(Setup { app: true, jira: true, policy, ..Setup::default() }).await;
    let (site, github) = (world.site.as_ref().unwrap(), world.github.as_ref().unwrap());
    let (key, mut tour) = ("SHOP-7", Tour::new(HEAD));

    world.clock.forward(61);
    tour.heading("The ticket");
    let words = "Accounting calls it *gross*, and so should we.\n\nReplace {{total}} with {{gross}}.";
    site.creates(key, "Call it gross", words);
    site.attaches(key, "glossary.txt", "text/plain", b"gross: with tax. net: without.");
    tour.person("wil", "in Jira", &format!("SHOP-7 · Call it gross\n\n{words}\n\n(label `prfactory` set)"));
    assert_eq!(site.labels("jira-wil", key, "prfactory", true).await, 202);
    hears(&world, key, "**Questions").await;
    hears(&world, key, "waiting for answers").await;
    tour.looks(&world, key, None);

    world.clock.forward(61);
    tour.heading("Answers");
    site.comments("jira-wil", key, "@prfactory answer 1: All of them change").await;
    tour.person("wil", "in Jira", "@prfactory answer 1: All of them change");
    hears(&world, key, "**Refined ticket").await;
    hears(&world, key, "waiting for a decision on the refined ticket").await;
    tour.looks(&world, key, None);
    site.comments(ADA_JIRA, key, "@prfactory approve").await;
    tour.person("ada", "in Jira", "@prfactory approve");

    world.clock.forward(61);
    tour.heading("The plan");
    hears(&world, key, "**Plan v1").await;
    hears(&world, key, "waiting for a decision on the plan").await;
    let ticket = world.reaches(key, "awaiting_plan_approval").await;
    let hash = ticket.plan().unwrap().hash.short().to_owned();
    tour.name(&hash, "HASH");
    tour.name(world.run_git(&["rev-parse", "--short=12", "main"]).as_str(), "COMMIT");
    tour.looks(&world, key, None);
    site.comments("jira-rea", key, &format!("@prfactory approve {hash}")).await;
    tour.person("rea (a reader)", "in Jira", &format!("@prfactory approve {hash}"));
    hears(&world, key, "needs the role").await;
    tour.looks(&world, key, None);
    site.comments("jira-apo", key, &format!("@prfactory approve {hash} -- mind the tests")).await;
    tour.person("apo", "in Jira", &format!("@prfactory approve {hash} -- mind the tests"));

    world.clock.forward(61);
    tour.heading("The pull request");
    let ticket = world.reaches(key, "in_review").await;
    let number = ticket.pull_request.as_ref().unwrap().number;
    world.drained().await;
    let first = github.pull(REPO, number).unwrap();
    tour.name(&first.head[..12], "COMMIT");
    tour.name(ticket.change_set.as_ref().unwrap().hash.short(), "HASH");
    tour.name(&github.url(), "https://github.test");
    tour.note(&format!("It is a draft on `{}`, called *{}*. Its text:", first.branch, first.title));
    tour.person("PRFactory", "on the pull request", &first.body);
    tour.looks(&world, key, Some(number));
    tour.checks(&world, &first.head);
    assert!(first.draft);

    world.clock.forward(61);
    tour.heading("A failing check");
    let said = "price.py:1: the rate needs a comment. Replace `TAX = 0.2` with `TAX = 0.2  # from January`.";
    github.checked(REPO, number, ("lint", Some("failure")), said).await;
    tour.person("The check `lint`", "on the pull request", &format!("failed: {said}"));
    world
        .until("the repaired head", || async { github.pull(REPO, number).filter(|pull| pull.head != first.head) })
        .await;
    world.reaches(key, "in_review").await;
    world.drained().await;
    let second = github.pull(REPO, number).unwrap();
    tour.name(&second.head[..12], "COMMIT");
    tour.looks(&world, key, Some(number));
    github.checked(REPO, number, ("lint", Some("success")), "").await;
    tour.person("The check `lint`", "on the pull request", "passed");
    world
        .until("a pull request that is ready", || async { github.pull(REPO, number).filter(|pull| !pull.draft) })
        .await;
    tour.note("The pull request is no longer a draft.");

    world.clock.forward(61);
    tour.heading("Two rounds of review");
    let remarks = [
        ("src/price.py", 4, "`net` could be anything. Rename `net` to `amount`."),
        ("src/cart.py", 5, "I would rather have a class here."),
    ];
    let ids = github.reviews("apo", REPO, number, (true, "Nearly there."), &remarks).await;
    for (path, line, text) in remarks {
        tour.person("apo", &format!("on `{path}` line {line}"), text);
    }
    world
        .until("the first round", || async { github.pull(REPO, number).filter(|pull| pull.head != second.head) })
        .await;
    world.reaches(key, "in_review").await;
    world.drained().await;
    let third = github.pull(REPO, number).unwrap();
    tour.name(&third.head[..12], "COMMIT");
    tour.looks(&world, key, Some(number));
    let resolved = |id: u64| github.remarks(REPO, number).into_iter().find(|remark| remark.id == id).unwrap().resolved;
    assert_eq!((resolved(ids[0]), resolved(ids[1])), (true, false), "threads are resolved only when fixed");
    let remarks = [("src/price.py", 1, "One more: replace `# from January` with `# since January`.")];
    github.reviews("apo", REPO, number, (true, ""), &remarks).await;
    tour.person("apo", "on `src/price.py` line 1", remarks[0].2);
    world
        .until("the second round", || async { github.pull(REPO, number).filter(|pull| pull.head != third.head) })
        .await;
    world.reaches(key, "in_review").await;
    world.drained().await;
    let fourth = github.pull(REPO, number).unwrap();
    tour.name(&fourth.head[..12], "COMMIT");
    tour.looks(&world, key, Some(number));

    world.clock.forward(61);
    tour.heading("Merged");
    github.closes("ada", REPO, number, true).await;
    tour.person("ada", "on the pull request", "merges it");
    world.reaches(key, "completed").await;
    world.drained().await;
    tour.looks(&world, key, Some(number));
    let (status, labels, links) = site.issue(key).unwrap();
    assert_eq!((status.as_str(), labels.as_slice()), ("Done", ["prfactory".to_owned()].as_slice()));
    assert_eq!(links.len(), 1);
    tour.note(&format!("SHOP-7 is *{status}* and linked to {}.", links[0]));

    assert_eq!(world.run_git(&["show", "main:src/price.py"]).lines().next(), Some("TAX = 0.2  # since January"));
    for head in [&first.head, &second.head, &third.head, &fourth.head] {
        assert!(github.is_signed(REPO, head), "{head} was made through the API");
    }
    tour.keep("tour.md");
    world.end().await;
}

/// Two pixels by two, all red.
const RED: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR42mM4IacBRAwQCgAgFgQ5iedtZQAAAABJRU5ErkJggg==";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_and_attached_reaches_the_model_within_limits() {
    let world = World::start(Setup { app: true, jira: true, ..Setup::default() }).await;
    let (site, key) = (world.site.as_ref().unwrap(), "SHOP-8");
    site.creates(key, "Call it gross", "As in the picture. Replace {{total}} with {{gross}}.");
    let red = STANDARD.decode(RED).unwrap();
    site.attaches(key, "glossary.txt", "text/plain", b"gross: with tax. net: without.");
    site.attaches(key, "screen.png", "image/png", &red);
    site.attaches(key, "torn.png", "image/png", &red[..40]);
    site.attaches(key, "books.zip", "application/zip", b"PK");
    for number in 1..=12 {
        site.comments("jira-wil", key, &format!("Remark {number}.")).await;
    }
    assert_eq!(site.labels("jira-wil", key, "prfactory", true).await, 202);
    hears(&world, key, "**Questions").await;

    let request = world.model.requests().remove(0);
    let opening = request["messages"][0]["content"].as_array().unwrap().clone();
    let text = opening[0]["text"].as_str().unwrap();
    let part = |source: &str| {
        let opens = format!("<untrusted source=\"{source}\">\n");
        text.split(&opens).skip(1).map(|part| part.split("</untrusted>").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let remarks = part("remark");
    assert_eq!(remarks.len(), 10, "{remarks:?}");
    let latest = (3..).zip(&remarks).all(|(number, said)| said.ends_with(&format!(":\nRemark {number}.\n")));
    assert!(latest, "{remarks:?}");
    insta::assert_snapshot!(part("attachment").concat(), @r"
    glossary.txt (text/plain)
    gross: with tax. net: without.
    screen.png (image/png)
    (image 1 after this text)
    torn.png (image/png)
    (nothing that could be read)
    books.zip (application/zip)
    (nothing that could be read)
    ");
    let image = opening[1]["source"].as_object().unwrap();
    assert_eq!((opening.len(), image["media_type"].as_str()), (2, Some("image/png")));
    let drawn = STANDARD.decode(image["data"].as_str().unwrap()).unwrap();
    assert_eq!(drawn[16..24], [0, 0, 0, 2, 0, 0, 0, 2], "two pixels by two");

    // The image stays with the conversation, and is part of the next one's opening, too.
    site.comments("jira-wil", key, "@prfactory skip").await;
    hears(&world, key, "**Refined ticket").await;
    let shown = world.model.requests().into_iter().map(|request| request.to_string().matches("\"image/png\"").count());
    let shown: Vec<usize> = shown.collect();
    assert!(shown.len() > 2 && shown.iter().all(|count| *count == 1), "{shown:?}");

    // Where something is between those who work on a ticket, nothing tells whose a file is.
    let key = "SHOP-10";
    site.creates(key, "Call it gross", "Replace {{total}} with {{gross}}.");
    site.comments_as("jira-wil", key, "Between us.", true).await;
    site.comments("jira-wil", key, "For everybody.").await;
    site.attaches(key, "secret.txt", "text/plain", b"between us");
    site.attaches(key, "screen.png", "image/png", &red);
    world.clock.forward(61);
    site.labels("jira-wil", key, "prfactory", true).await;
    hears(&world, key, "**Questions").await;
    let last = world.model.requests().pop().unwrap().to_string();
    assert!(last.contains("For everybody.") && !last.to_lowercase().contains("between us"), "{last}");
    assert!(!last.contains("secret.txt") && !last.contains("image/png"), "{last}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_keeps_no_ticket_from_its_start_and_an_assignment_at_creation_counts() {
    let world = World::start(Setup { app: true, jira: true, ..Setup::default() }).await;
    let site = world.site.as_ref().unwrap();
    site.creates("SHOP-1", "Raise the tax", "Replace {{TAX = 0.2}} with {{TAX = 0.25}} in {{src/price.py}}.");
    site.attaches("SHOP-1", "screen.png", "image/png", &STANDARD.decode(RED).unwrap());
    site.attaches("SHOP-1", "glossary.txt", "text/plain", b"words");
    site.trouble("getAttachmentContent", Trouble::Before(500), 1);
    assert_eq!(site.announces("jira-wil", "SHOP-1", testkit::jira::ACCOUNT).await, 202);
    hears(&world, "SHOP-1", "**Refined ticket").await;
    let first = world.model.requests().remove(0).to_string();
    assert!(first.contains("screen.png (image/png)\\n(nothing that could be read)"), "{first}");
    assert!(first.contains("glossary.txt (text/plain)\\nwords"), "{first}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_no_images_gets_the_words() {
    let world = World::start(Setup { app: true, jira: true, ..Setup::default() }).await;
    let site = world.site.as_ref().unwrap();
    site.creates("SHOP-1", "Raise the tax", "Replace {{TAX = 0.2}} with {{TAX = 0.25}} in {{src/price.py}}.");
    site.attaches("SHOP-1", "screen.png", "image/png", &STANDARD.decode(RED).unwrap());
    world.model.fail_next(400, "messages.0.content.1: this model does not support image input");
    site.labels("jira-wil", "SHOP-1", "prfactory", true).await;
    hears(&world, "SHOP-1", "**Refined ticket").await;
    // What was refused is not among those that were answered: the first of them is the same without the image.
    let first = world.model.requests().remove(0).to_string();
    assert!(first.contains("(An image that cannot be shown.)") && !first.contains("image/png\""), "{first}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_goes_through_every_status_that_was_passed_by() {
    let world = World::start(Setup { app: true, jira: true, ..Setup::default() }).await;
    let (site, github) = (world.site.as_ref().unwrap(), world.github.as_ref().unwrap());
    site.creates("SHOP-9", "Raise the tax", "Replace {{TAX = 0.2}} with {{TAX = 0.25}} in {{src/price.py}}.");
    site.labels("jira-wil", "SHOP-9", "prfactory", true).await;
    world.to_plan("SHOP-9").await;
    world.approve("ada", "SHOP-9").await;
    let number = world.reaches("SHOP-9", "in_review").await.pull_request.unwrap().number;
    world.drained().await;
    assert_eq!(site.issue("SHOP-9").unwrap().0, "In Review");
    // From there no single step leads to *Done*.
    site.moves("SHOP-9", "To Do");
    world.clock.forward(61);
    github.closes("ada", REPO, number, true).await;
    world.reaches("SHOP-9", "completed").await;
    world.drained().await;
    assert_eq!(site.issue("SHOP-9").unwrap().0, "Done");
    assert_eq!(heard(&world, "SHOP-9", "so the status stays"), None);
    world.end().await;
}
