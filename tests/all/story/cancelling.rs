//! Cancelling while the outside is being written: read back, undo what is ours, keep what is not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::name::CommitSha;
use domain::ticket::Target;
use engine::port::{Capabilities, Forge, Opened, Permit, PullRequestText};
use engine::tenancy::TenantCtx;
use stories::world::{Setup, World};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

/// A forge that is down.
struct Down;

fn down<T>() -> Result<T, Failure> {
    Err(Failure::new(Fault::Transient, "the forge is down"))
}

#[async_trait]
impl Forge for Down {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            drafts: false,
            reactions: false,
            resolvable_threads: false,
            check_runs: false,
            api_commits: false,
        }
    }

    async fn find(&self, _: &TenantCtx, _: &Target) -> Result<Option<Opened>, Failure> {
        down()
    }

    async fn open(
        &self,
        _: &TenantCtx,
        _: &Target,
        _: &CommitSha,
        _: &PullRequestText,
        _: &Permit,
    ) -> Result<Opened, Failure> {
        down()
    }

    async fn update(
        &self,
        _: &TenantCtx,
        _: &Target,
        _: u64,
        _: &CommitSha,
        _: &PullRequestText,
        _: &Permit,
    ) -> Result<Opened, Failure> {
        down()
    }

    async fn close(&self, _: &TenantCtx, _: &Target, _: u64) -> Result<(), Failure> {
        down()
    }
}

/// A ticket whose branch was pushed when the forge went down, in a world where nobody works.
async fn pushed() -> World {
    let policy = "sensitive_paths = [\"src/price.py\"]".to_owned();
    let mut world = World::start(Setup { policy, ..Setup::default() }).await;
    world.planned("SHOP-1", "Tax", TAX).await;
    world.approve("ada", "SHOP-1").await;
    world.reaches("SHOP-1", "awaiting_diff_approval").await;
    world.rest().await;
    world.approve("ada", "SHOP-1").await;
    let system = &world.system;
    let publish = publish::Publish {
        engine: system.engine.clone(),
        workspace: Arc::clone(&system.workspace) as _,
        commits: Arc::clone(&system.source) as _,
        forge: Arc::new(Down),
    };
    let queue = &system.engine.queue;
    let message = queue.receive("publish", 1, Duration::from_mins(1), Duration::ZERO).await.unwrap().remove(0);
    assert_eq!(publish::handle(&publish, &message.body).await, engine::Disposition::Ack);
    queue.ack("publish", &message.receipt).await.unwrap();
    assert_eq!(world.branches().len(), 2, "the branch is there, the pull request is not");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_of_ours_is_removed_before_cancelled_is_said() {
    let mut world = pushed().await;
    world.say("wil", "SHOP-1", "cancel").await;
    assert_eq!(world.ticket("SHOP-1").await.unwrap().state.name(), "cancelling");
    world.work().await;
    world.reaches("SHOP-1", "cancelled").await;
    assert_eq!(world.branches(), ["main"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_somebody_went_on_with_stays() {
    let mut world = pushed().await;
    let branch = world.branches().remove(1);
    let tree = world.run_git(&["rev-parse", &format!("{branch}^{{tree}}")]);
    let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
    let commit = world.run_git(&[&identity[..], &["commit-tree", &tree, "-p", &branch, "-m", "more"]].concat());
    world.run_git(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
    world.say("wil", "SHOP-1", "cancel").await;
    world.work().await;
    world.reaches("SHOP-1", "cancelled").await;
    assert_eq!(world.run_git(&["rev-parse", &branch]), commit);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_cannot_be_read_back_is_said_and_does_not_hold_the_ticket_for_ever() {
    let mut world = pushed().await;
    world.say("wil", "SHOP-1", "cancel").await;
    std::fs::rename(world.repository(), world.dir.path().join("gone.git")).unwrap();
    world.work().await;
    world.reaches("SHOP-1", "cancelled").await;
    let history = world.history("SHOP-1").await;
    assert!(history.last().unwrap().contains("could not be read back"), "{history:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_comes_back_gets_one_pull_request_for_the_branch_that_is_there() {
    let mut world = pushed().await;
    let head = world.run_git(&["rev-parse", &world.branches().remove(1)]);
    world.work().await;
    let ticket = world.reaches("SHOP-1", "in_review").await;
    assert_eq!(ticket.pull_request.unwrap().head.to_string(), head, "the same commit, made again");
    world.end().await;
}
