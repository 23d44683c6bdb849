//! The way of one ticket, from a signed delivery to a merged pull request.

use domain::change_set::{ChangeSet, FileChange};
use engine::artifact;
use intake::Answer;
use serde_json::json;
use stories::world::{GIT_TOKEN, Setup, World, recorded_for_us};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_delivery_becomes_a_pull_request_and_a_merge_completes_it() {
    let world = World::start(Setup::default()).await;
    let planned = world.planned("SHOP-1", "Raise the tax", TAX).await;
    assert_eq!(world.branches(), ["main"], "nothing is pushed without an approval");
    assert!(matches!(world.approve("apo", "SHOP-1").await, Answer::Moved { .. }));
    let ticket = world.reaches("SHOP-1", "in_review").await;
    assert_eq!(ticket.approved_plan.as_ref(), planned.plan().map(|plan| &plan.hash));

    let branch = ticket.target().unwrap().branch.to_string();
    assert_eq!(world.branches(), ["main", branch.as_str()]);
    assert_eq!(branch, "prfactory/SHOP-1-raise-the-tax");
    let head = world.run_git(&["rev-parse", &branch]);
    assert_eq!(head, ticket.pull_request.as_ref().unwrap().head.to_string());
    world.run_git(&["fsck", "--strict"]);
    assert_eq!(world.run_git(&["rev-list", "--count", &format!("main..{branch}")]), "1");
    let client = world.client("ada");
    let hash = &ticket.change_set.as_ref().unwrap().hash;
    let approved: ChangeSet = artifact::load(&world.system.engine, client.ctx(), hash).await.unwrap();
    let named = world.run_git(&["diff", "--name-only", "main", &branch]);
    assert_eq!(
        named.lines().collect::<Vec<_>>(),
        approved.files.keys().map(domain::path::RepoPath::as_str).collect::<Vec<_>>()
    );
    for (path, change) in &approved.files {
        let FileChange::Write { text, .. } = change else { panic!("nothing is deleted here") };
        assert_eq!(world.run_git(&["show", &format!("{branch}:{path}")]), text.trim_end());
    }
    let message = world.run_git(&["log", "-1", "--format=%B", &branch]);
    assert!(message.contains(&format!("PRFactory-Change-Set: {hash}")), "{message}");

    let merged = || {
        let mut event = recorded_for_us("pull_request.closed.merged");
        event["pull_request"]["number"] = json!(1);
        event
    };
    assert_eq!(world.github("pull_request", &merged()).await, 202);
    world.reaches("SHOP-1", "completed").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_over_http_is_read_and_written_with_a_token_that_shows_nowhere() {
    let world = World::start(Setup { http: true, ..Setup::default() }).await;
    world.planned("SHOP-2", "Raise the tax", TAX).await;
    world.approve("ada", "SHOP-2").await;
    let ticket = world.reaches("SHOP-2", "in_review").await;
    let branch = ticket.target().unwrap().branch.to_string();
    assert_eq!(world.run_git(&["show", &format!("{branch}:src/price.py")]).lines().next(), Some("TAX = 0.25"));
    world.run_git(&["fsck", "--strict"]);

    let requests = world.git.as_ref().unwrap().requests();
    let pushes: Vec<_> =
        requests.iter().filter(|r| r.uri.ends_with("git-receive-pack") && r.method == "POST").collect();
    assert_eq!(pushes.len(), 1);
    assert!(pushes[0].bytes < 1_500, "only new objects are sent: {} bytes", pushes[0].bytes);
    assert!(requests.iter().all(|request| !request.uri.contains(GIT_TOKEN)));
    let mut looked_at = 0;
    for entry in walk(world.dir.path()) {
        if entry.file_name() == Some("token".as_ref()) {
            continue;
        }
        looked_at += 1;
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!bytes.windows(GIT_TOKEN.len()).any(|w| w == GIT_TOKEN.as_bytes()), "{}", entry.display());
    }
    assert!(looked_at > 10, "only {looked_at} files were looked at");
    assert!(!world.dir.path().join("data/scratch/w/ten_acme").read_dir().is_ok_and(|mut d| d.next().is_some()));
    world.end().await;
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() { files.extend(walk(&entry.path())) } else { files.push(entry.path()) }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_each_step_of_the_way() {
    let world = World::start(Setup::default()).await;
    world.planned("SHOP-3", "Raise the tax", "Replace `total` with `gross`.").await;
    let plan = world.hears("SHOP-3", "**Plan v1").await;
    let hash = world.ticket("SHOP-3").await.unwrap().plan().unwrap().hash.short().to_owned();
    let base = world.run_git(&["rev-parse", "--short=12", "main"]);
    let plan = plan.replace(&hash, "HASH").replace(&base, "BASE");
    let plan = plan.split("<!--").next().unwrap().trim_end();
    insta::assert_snapshot!(plan, @r"
    **Plan v1 · `HASH`** · confidence high · about $0.06

    Raise the tax (3 file(s)).

    | file | | why |
    |---|---|---|
    | `src/cart.py` | modify | 2 place(s) to change |
    | `src/price.py` | modify | 1 place(s) to change |
    | `tests/test_price.py` | modify | 3 place(s) to change |

    Steps:
    - Make sure that `total` reads `gross` everywhere.

    Tests:
    - The repository's own checks on the pull request.

    Repository Codertocat/Hello-World at `BASE`. Files not named above will not be touched.
    Say `@prfactory approve HASH`, `@prfactory replan INSTRUCTION` or `@prfactory reject REASON`.
    ");
    let questions = world.hears("SHOP-3", "**Questions").await;
    insta::assert_snapshot!(questions.split("<!--").next().unwrap().trim_end(), @r"
    **Questions before I go on**

    Raise the tax: 1 instruction(s), 6 place(s) in 3 file(s).

    1. *scope* — The text occurs in 3 files: src/cart.py, src/price.py, tests/test_price.py. Should all of them change?
       Options: All of them change · Keep `PATH` as it is
       Default: All of them change

    Say `@prfactory answer 1: …` (what you leave out takes its default), or `@prfactory skip`.
    ");
    world.approve("ada", "SHOP-3").await;
    world.reaches("SHOP-3", "in_review").await;
    let status = world.hears("SHOP-3", "pull request open").await;
    assert_eq!(status.matches("- [x]").count(), 5, "{status}");
    let statuses = world.comments("SHOP-3").await.into_iter().filter(|c| c.contains("Cost so far")).count();
    assert_eq!(statuses, 1, "one status comment, edited in place");
    world.end().await;
}
