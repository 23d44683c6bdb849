//! Each adapter of a port against the port's suite.

use std::sync::Arc;

use engine::port::{Clock, Queue as _, Secret};
use local::{Db, FileSecrets, FolderBlobs, LocalVault, SqliteQueue, SqliteTable, SystemIds};
use stories::contract;
use stories::world::{Setup, ShiftedClock, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_table_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let table = SqliteTable::new(Db::open(dir.path()).unwrap());
    contract::table(Arc::new(table), &ShiftedClock::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_queue_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ShiftedClock::default());
    let queue =
        SqliteQueue::new(Db::open(dir.path()).unwrap(), Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemIds));
    let queue = Arc::new(queue);
    contract::queue(Arc::clone(&queue) as _, clock.as_ref()).await;
    while let Some(left) =
        queue.receive("plan", 1, std::time::Duration::ZERO, std::time::Duration::ZERO).await.unwrap().pop()
    {
        queue.ack("plan", &left.receipt).await.unwrap();
    }
    contract::groups_take_turns(queue.as_ref()).await;
}

#[tokio::test]
async fn the_folder_of_blobs_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract::blobs(Arc::new(FolderBlobs::new(dir.path(), Arc::new(ShiftedClock::default())))).await;
}

#[tokio::test]
async fn the_local_vault_keeps_the_contract() {
    contract::vault(Arc::new(LocalVault::new(Secret::new(b"master".as_slice())))).await;
}

#[tokio::test]
async fn the_secrets_file_the_clock_and_the_ids_keep_their_contracts() {
    let dir = tempfile::tempdir().unwrap();
    contract::secrets(Arc::new(FileSecrets::open(dir.path()).unwrap()), "sealing-key").await;
    contract::clock(&local::SystemClock).await;
    contract::ids(&SystemIds);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_tracker_and_forge_keep_their_contracts() {
    let world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let key = domain::name::TrackerKey::parse("SHOP-1").unwrap();
    contract::tracker(Arc::clone(&world.system.tracker) as _, &key).await;
    let target = |branch: &str| domain::ticket::Target {
        repo: domain::name::RepoName::parse("Codertocat/Hello-World").unwrap(),
        base: domain::name::BranchName::parse("main").unwrap(),
        branch: domain::name::BranchName::parse(branch).unwrap(),
        commit: None,
        snapshot: None,
    };
    let sha = |digit: &str| domain::name::CommitSha::parse(&digit.repeat(40)).unwrap();
    let (one, two) = (target("prfactory/one"), target("prfactory/two"));
    contract::forge(Arc::clone(&world.system.forge) as _, (&one, &sha("1")), (&two, &sha("2"))).await;
    world.end().await;
    for http in [false, true] {
        let world = World::start(Setup { idle: true, http, ..Setup::default() }).await;
        let (system, client) = (&world.system, world.client("ada"));
        let source = &system.source;
        let workspace = Arc::clone(&system.workspace) as _;
        contract::source(client.ctx(), &one, Arc::clone(source) as _, workspace, Arc::clone(source) as _).await;
        world.run_git(&["fsck", "--strict"]);
        world.end().await;
    }
}

#[tokio::test]
async fn the_simulated_ports_keep_the_same_contracts() {
    use sim::clockwork::Clockwork;
    use sim::port::{SimClock, SimForge, SimIds, SimQueue, SimSecrets, SimTracker};
    use sim::scene::{REPO, Scene, firm};
    let clockwork = Clockwork::calm();
    let world = sim::world::World::new(&clockwork, &Scene::plain(), None);
    contract::table(Arc::clone(&world.table) as _, &SimClock(clockwork.clone())).await;
    contract::queue(Arc::new(SimQueue::new(clockwork.clone())), &Virtual(clockwork.clone())).await;
    contract::groups_take_turns(&SimQueue::new(clockwork.clone())).await;
    contract::blobs(Arc::clone(&world.blobs) as _).await;
    contract::secrets(Arc::clone(&world.secrets) as Arc<SimSecrets>, "github-webhook").await;
    contract::clock(&SimClock(clockwork.clone())).await;
    contract::ids(&SimIds(clockwork.clone()));
    let key = domain::name::TrackerKey::parse("SHOP-1").unwrap();
    contract::tracker(Arc::clone(&world.tracker) as Arc<SimTracker>, &key).await;
    let target = |repo: &str, branch: &str| domain::ticket::Target {
        repo: domain::name::RepoName::parse(repo).unwrap(),
        base: domain::name::BranchName::parse("main").unwrap(),
        branch: domain::name::BranchName::parse(branch).unwrap(),
        commit: None,
        snapshot: None,
    };
    let sha = |digit: &str| domain::name::CommitSha::parse(&digit.repeat(40)).unwrap();
    let (one, two) = (target(REPO, "prfactory/one"), target(REPO, "prfactory/two"));
    contract::forge(Arc::clone(&world.forge) as Arc<SimForge>, (&one, &sha("1")), (&two, &sha("2"))).await;
    let ctx = world.sealer.operator(&firm(1).id).unwrap();
    world.source.commit(&firm(1).id, REPO, "main", |files| {
        files.insert(domain::path::RepoPath::parse("README.md").unwrap(), "# shop\n".to_owned());
    });
    let source = &world.source;
    contract::source(&ctx, &one, Arc::clone(source) as _, Arc::clone(source) as _, Arc::clone(source) as _).await;
}

#[test]
fn secrets_are_made_once_and_kept_from_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let first = FileSecrets::open(dir.path()).unwrap().versions("sealing-key").unwrap();
    let second = FileSecrets::open(dir.path()).unwrap().versions("sealing-key").unwrap();
    assert_eq!(first[0].expose(), second[0].expose());
    assert!(FileSecrets::open(dir.path()).unwrap().versions("unknown").unwrap().is_empty());
    let path = dir.path().join("secrets.toml");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = FileSecrets::open(dir.path()).unwrap_err();
    assert!(refused.message.contains("chmod 600"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_half_way_leaves_nothing_of_itself_and_all_of_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let insert = "INSERT INTO message (queue, grp, body, visible_at) VALUES ('q', 'g', ?1, 0)";
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..40 {
        let db = db.clone();
        writes.spawn(async move {
            let write = move |connection: &rusqlite::Connection| {
                connection.execute(insert, [format!("first {number}")])?;
                if number % 2 == 0 {
                    connection.execute("INSERT INTO nowhere VALUES (1)", [])?;
                }
                connection.execute(insert, [format!("second {number}")]).map(|_| ())
            };
            (number, db.write(write).await.is_ok())
        });
    }
    for (number, stands) in writes.join_all().await {
        assert_eq!(stands, number % 2 == 1);
    }
    let count = |c: &rusqlite::Connection| c.query_row("SELECT COUNT(*) FROM message", [], |row| row.get::<_, i64>(0));
    assert_eq!(db.read(count).await.unwrap(), 40);
}

#[test]
fn scratch_directories_are_closed_to_others_and_gone_afterwards() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let sealer = engine::seal::Sealer::new(vec![Secret::new(b"key".as_slice())]);
    let ctx = sealer.operator(&domain::id::TenantId::parse("ten_a").unwrap()).unwrap();
    let scratch = workspace::Scratch::new(root.path(), &ctx).unwrap();
    let path = scratch.path().to_owned();
    assert!(path.starts_with(root.path().join("w/ten_a")));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    drop(scratch);
    assert!(!path.exists());
    std::mem::forget(workspace::Scratch::new(root.path(), &ctx).unwrap());
    workspace::sweep(root.path()).unwrap();
    assert!(!root.path().join("w").exists(), "what a killed process left is swept");
}

/// The time of a simulation.
struct Virtual(sim::clockwork::Clockwork);

#[async_trait::async_trait]
impl contract::Pace for Virtual {
    fn hidden(&self) -> std::time::Duration {
        std::time::Duration::from_mins(1)
    }

    async fn pass(&self, time: std::time::Duration) {
        self.0.forward(i64::try_from(time.as_micros()).unwrap());
    }
}

#[test]
fn a_rotation_of_the_sealing_key_loses_no_message() {
    use engine::seal::{SealError, Sealer};
    let key = |text: &str| Secret::new(text.as_bytes());
    let (behind, ahead) = (Sealer::new(vec![key("old")]), Sealer::new(vec![key("old")]));
    let opens = |sealer: &Sealer, message: &str| sealer.open::<String>("plan", message).map(|opened| opened.body);
    let seal = |sealer: &Sealer| sealer.seal("plan", None, &"words".to_owned()).unwrap();
    // Whoever hears of it first seals as before, and opens what will come.
    ahead.renew(vec![key("old"), key("new")], Vec::new());
    assert_eq!(opens(&behind, &seal(&ahead)), Ok("words".to_owned()));
    behind.renew(vec![key("old"), key("new")], Vec::new());
    let under_way = seal(&behind);
    ahead.renew(vec![key("new"), key("old")], Vec::new());
    assert_eq!(opens(&behind, &seal(&ahead)), Ok("words".to_owned()));
    assert_eq!(opens(&ahead, &under_way), Ok("words".to_owned()));
    ahead.renew(vec![key("new")], Vec::new());
    assert_eq!(opens(&ahead, &under_way), Err(SealError::Forged), "what was sealed under a key that is gone");
    ahead.renew(vec![key(" ")], Vec::new());
    assert_eq!(opens(&ahead, &seal(&ahead)), Ok("words".to_owned()), "no key at all changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_key_of_one_webhook_function_speaks_for_no_other() {
    use domain::id::{EndpointId, MemberId};
    use engine::message::{DeliveryMessage, INTAKE, Source};
    use engine::seal::Sealer;
    let world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let key = |text: &str| Secret::new(text.as_bytes());
    let intake = world.system.intake();
    let own = world.system.secrets.versions("sealing-key").unwrap();
    intake.engine.sealer.renew(own, vec![(intake::GITHUB, vec![key("g")]), (intake::JIRA, vec![key("j")])]);
    let endpoint = EndpointId::parse(stories::world::ENDPOINT).unwrap();
    let sources = [
        ("g", Source::Github),
        ("j", Source::Jira { endpoint, generation: 1 }),
        ("", Source::Cli { member: MemberId::parse("mem_ada").unwrap() }),
    ];
    for (whose, source) in sources {
        for by in ["g", "j"] {
            let body = webhooks::pack(b"{}").unwrap();
            let message =
                DeliveryMessage { source: source.clone(), event: String::new(), delivery: String::new(), body };
            let guest = Sealer::new(vec![key(by)]);
            let sealed = guest.seal(INTAKE, None, &message).unwrap();
            let refused =
                Box::pin(intake::accept(&intake, &sealed)).await.is_err_and(|f| f.message.contains("sealed by"));
            assert_eq!(refused, whose != by, "{source:?} by {by}");
            let ctx = contract::tenant("ten_acme");
            let sealed = guest.seal(INTAKE, Some(&ctx), &message).unwrap();
            assert!(Box::pin(intake::accept(&intake, &sealed)).await.is_err(), "a guest speaks for no tenant");
        }
    }
    world.end().await;
}

/// Secrets that count how often they are read.
#[derive(Default)]
struct Counted(std::sync::atomic::AtomicUsize);

#[async_trait::async_trait]
impl engine::port::Secrets for Counted {
    async fn load(&self, _name: &str) -> Result<Vec<Secret>, domain::error::Failure> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(vec![Secret::new(b"secret".as_slice())])
    }
}

#[tokio::test]
async fn ten_thousand_bad_signatures_cost_one_read_a_minute() {
    let (secrets, clock) = (Arc::new(Counted::default()), Arc::new(ShiftedClock::default()));
    let cache = webhooks::SecretCache::new(Arc::clone(&secrets) as _, Arc::clone(&clock) as _);
    for minute in 1..=3 {
        for _ in 0..10_000 {
            cache.load("github-webhook").await.unwrap();
            cache.reload("github-webhook").await.unwrap();
        }
        assert_eq!(secrets.0.load(std::sync::atomic::Ordering::Relaxed), minute);
        clock.forward(61);
    }
}

#[test]
fn an_edit_that_does_not_fit_an_enormous_line_is_answered() {
    let path = domain::path::RepoPath::parse("bundle.js").unwrap();
    let commit = domain::name::CommitSha::parse(&"0".repeat(40)).unwrap();
    let line = "var a=1;".repeat(100_000);
    let files = [(path.clone(), line.into_bytes())].into_iter().collect();
    let tree = workspace::MemoryTree::new(commit, files);
    let mut jail = workspace::Jail::new(Arc::new(tree), std::collections::BTreeMap::new());
    let error = jail.edit(&path, &"let b=2;".repeat(100_000), "x").unwrap_err();
    assert!(matches!(error, workspace::JailError::NoMatch { .. }), "{error}");
    assert!(error.to_string().len() < 4_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_so_many_slots_and_a_lapsed_one_is_free() {
    use engine::slot::{free, renew, take};
    use std::time::Duration;
    const MINUTE: Duration = Duration::from_mins(1);
    let world = World::start(Setup { idle: true, ..Setup::default() }).await;
    let engine = engine::Engine { slots: Some(2), ..world.system.engine.clone() };
    let (ada, bob) = (contract::tenant("ten_a"), contract::tenant("ten_b"));
    let ticket = |name: &str| domain::id::TicketId::parse(&format!("tkt_{name}")).unwrap();
    let first = take(&engine, &ada, &ticket("1"), MINUTE).await.unwrap().unwrap();
    let second = take(&engine, &ada, &ticket("1"), MINUTE).await.unwrap().unwrap();
    assert!(take(&engine, &ada, &ticket("1"), MINUTE).await.unwrap().is_none(), "there are two");
    assert!(take(&engine, &bob, &ticket("1"), MINUTE).await.unwrap().is_some(), "each tenant has its own");
    free(&engine, &first).await;
    let third = take(&engine, &ada, &ticket("2"), MINUTE).await.unwrap().unwrap();
    world.clock.forward(45);
    renew(&engine, &second, MINUTE).await.unwrap();
    world.clock.forward(30);
    let fourth = take(&engine, &ada, &ticket("3"), MINUTE).await.unwrap().unwrap();
    renew(&engine, &third, MINUTE).await.unwrap();
    free(&engine, &third).await;
    assert!(take(&engine, &ada, &ticket("4"), MINUTE).await.unwrap().is_none(), "who lost a slot frees nobody else's");
    free(&engine, &fourth).await;
    assert!(take(&engine, &ada, &ticket("4"), MINUTE).await.unwrap().is_some());
    world.end().await;
}
