//! Five gigabytes in one file and a million entries in one directory, under a limit of two gigabytes of memory.
//!
//! Too large for every run of the tests, which do the same on a smaller scale.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and stops at the first surprise")]

use std::process::Command;
use std::time::Duration;

use stories::forged::{Entry, FILE, Forged};
use stories::serve::{Serve, binary};
use stories::world::{Setup, World};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
/// Addresses `serve` may have, in KiB.
const LIMIT: u64 = 2_000_000;
/// How long git's own server may take for five gigabytes.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(bombs());
}

async fn bombs() {
    let mut world = World::start(Setup { http: true, idle: true, ..Setup::default() }).await;
    let forged = Forged::at(world.repository());
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {LIMIT}; exec \"$0\" \"$@\"")]).arg(binary());
    let data = world.dir.path().join("data");
    world.serve = Some(Serve::started(limited, &data, &world.model.url(), 2));
    let zeros = forged.zeros(5 * 1024);
    forged.commit(&forged.beside(&[(FILE, b"zeros", zeros)]));
    // Packed, so that the server need not compress five gigabytes while we wait.
    forged.git(&["repack", "-adq"], b"");
    refused(&world, "SHOP-1", "larger than 128 MiB").await;
    forged.git(&["config", "uploadpack.allowFilter", "true"], b"");
    world.planned("SHOP-2", "Tax", TAX).await;
    println!("five gigabytes: left out by a server that can, and planned");
    let blob = forged.blob(b"x");
    let names: Vec<String> = (0..1_000_000).map(|number| format!("f{number:07}")).collect();
    let many: Vec<Entry<'_>> = names.iter().map(|name| (FILE, name.as_bytes(), blob.clone())).collect();
    forged.commit(&forged.tree(&many));
    refused(&world, "SHOP-3", "more than 50000 entries").await;
    println!("peak memory: {} MiB", world.serve.as_ref().unwrap().memory().1 / 1024 / 1024);
    world.end().await;
}

async fn refused(world: &World, key: &str, says: &str) {
    world.jira(&world.labelled(key, "Tax", TAX)).await;
    let failed = async {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        while world.ticket(key).await.is_none_or(|ticket| ticket.state.name() != "failed") {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, failed).await.unwrap();
    println!("{}", world.hears(key, says).await.lines().next().unwrap_or_default());
}
