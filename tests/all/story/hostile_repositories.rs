//! Repositories that want to escape, to run something, or to fill the machine.

use std::path::Path;
use std::process::Command;

use stories::forged::{Entry, FILE, Forged, TREE};
use stories::serve::{Serve, binary};
use stories::world::{Setup, World};

const TAX: &str = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";

/// A world whose repository is reached over HTTP, and the hand that forges it.
async fn world(apart: bool) -> (World, Forged) {
    let world = World::start(Setup { http: true, apart, ..Setup::default() }).await;
    let forged = Forged::at(world.repository());
    (world, forged)
}

/// Starts a ticket on the repository as it is and returns what people are told when it fails.
async fn refused(world: &World, key: &str) -> String {
    world.jira(&world.labelled(key, "Tax", TAX)).await;
    world.reaches(key, "failed").await;
    world.hears(key, "**Failed").await
}

/// Each name as a file and as a directory; people hear why the repository cannot be worked on.
async fn all_refused(world: &World, forged: &Forged, names: &[&[u8]]) {
    let blob = forged.blob(b"x");
    let hooks = forged.tree(&[("100755", b"post-checkout", blob.clone())]);
    let mut number = 0;
    for name in names {
        for (mode, object) in [(FILE, &blob), (TREE, &hooks)] {
            forged.commit(&forged.beside(&[(mode, name, object.clone())]));
            number += 1;
            let said = refused(world, &format!("SHOP-{number}")).await;
            let name = String::from_utf8_lossy(name);
            let reasons = ["the repository cannot be worked on", "not UTF-8", "cannot be read"];
            assert!(reasons.iter().any(|reason| said.contains(reason)), "{name:?}: {said}");
            assert!(said.contains("@prfactory retry"), "{name:?}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn look_alikes_of_gits_own_directory_are_refused_and_named() {
    let (world, forged) = world(false).await;
    let names = [
        ".git",
        ".GIT",
        ".Git.",
        ".git ",
        ".git . .",
        "git~1",
        "GIT~1",
        ".g\u{200c}it",
        ".gi\u{feff}t",
        ".git::$INDEX",
    ];
    all_refused(&world, &forged, &names.map(str::as_bytes)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_would_leave_their_place_are_refused_and_named() {
    // By path: git's own server would not send some of these.
    let world = World::start(Setup::default()).await;
    let forged = Forged::at(world.repository());
    let blob = forged.blob(b"x");
    let names: [&[u8]; 11] =
        [b"..", b".", b"", b"a/b", b"a\\b", b"C:x", b"a\nb", b"a\rb", b"\x1b[2Ja", b"caf\xe9", &[b'x'; 256]];
    all_refused(&world, &forged, &names).await;
    let mut deep = blob.clone();
    for depth in 0..150 {
        deep = forged.tree(&[(if depth == 0 { FILE } else { TREE }, b"d", deep)]);
    }
    forged.commit(&forged.beside(&[(TREE, b"deep", deep)]));
    assert!(refused(&world, "SHOP-900").await.contains("nested deeper than 100"));
    // What was wrong can be mended: the next ticket works.
    forged.commit(&forged.beside(&[]));
    world.say("wil", "SHOP-900", "retry").await;
    world.to_plan("SHOP-900").await;
    world.end().await;
}

/// Everything that makes some git run something or write elsewhere when it checks out, merges or fetches.
fn traps(forged: &Forged) -> String {
    let blob = |text: &str| forged.blob(text.as_bytes());
    let touch = "#!/bin/sh\ntouch /tmp/prfactory-was-here\n";
    let config = "[core]\n\tfsmonitor = touch /tmp/prfactory-was-here\n\thooksPath = hooks\n[alias]\n\tst = !touch /tmp/prfactory-was-here\n";
    let attributes = "* filter=evil diff=evil merge=evil\n*.bin filter=lfs diff=lfs merge=lfs -text\n";
    let modules = "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=touch${IFS}/tmp/prfactory-was-here\n\tupdate = !touch /tmp/prfactory-was-here\n";
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    let hooks = forged.tree(&[("100755", b"post-checkout", blob(touch)), ("100755", b"pre-push", blob(touch))]);
    let nested = forged.tree(&[
        (FILE, b"HEAD", blob("ref: refs/heads/main\n")),
        (FILE, b"config", blob(config)),
        (TREE, b"hooks", hooks.clone()),
    ]);
    forged.beside(&[
        (FILE, b".gitattributes", blob(attributes)),
        (FILE, b".gitmodules", blob(modules)),
        (FILE, b".lfsconfig", blob("[lfs]\n\turl = https://lfs.invalid/\n")),
        (FILE, b"README.md", blob("upper\n")),
        (FILE, b"readme.md", blob("lower\n")),
        (FILE, b"config", blob(config)),
        (TREE, b"hooks", hooks),
        (FILE, b"large.bin", blob(pointer)),
        (TREE, b"nested", nested),
        ("120000", b"out", blob("/etc/passwd")),
        ("120000", b"up", blob("../../../../../../etc")),
        ("120000", b"src2", blob("src")),
        ("160000", b"x", "1".repeat(40)),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_repository_runs_and_nothing_outside_the_folder_is_written() {
    let marker = Path::new("/tmp/prfactory-was-here");
    assert!(!marker.exists());
    let mut world = World::start(Setup { http: true, idle: true, ..Setup::default() }).await;
    let forged = Forged::at(world.repository());
    forged.commit(&traps(&forged));
    let calls = world.dir.path().join("calls");
    let mut strace = Command::new("strace");
    // As a grandchild of ours, so that the program is our child and ends with its owner.
    strace.args(["-D", "-f", "-qq", "-e", "trace=execve,execveat,open,openat,openat2,creat,mkdir,mkdirat,symlink,symlinkat,link,linkat,rename,renameat,renameat2,mknod,mknodat"]);
    strace.arg("-o").arg(&calls).arg("--").arg(binary());
    let data = world.dir.path().join("data");
    world.serve = Some(Serve::started(strace, &data, &world.model.url(), 2));
    let ticket = world.planned("SHOP-1", "Tax", &format!("{TAX}\nIn `README.md` replace `upper` with `UPPER`.")).await;
    world.approve("ada", "SHOP-1").await;
    let done = world.reaches("SHOP-1", "in_review").await;
    world.serve.take();
    assert!(!marker.exists(), "a trap went off");
    let branch = done.target().unwrap().branch.to_string();
    let changed = world.run_git(&["diff", "--name-only", "main", &branch]);
    assert_eq!(changed.lines().collect::<Vec<_>>(), ["README.md", "src/price.py"], "{:?}", ticket.plan());
    assert_eq!(world.run_git(&["show", &format!("{branch}:readme.md")]), "lower", "its twin is untouched");
    let listed = |branch: &str| world.run_git(&["ls-tree", "-r", branch]);
    for line in listed("main").lines().filter(|line| !line.ends_with("README.md") && !line.ends_with("price.py")) {
        assert!(listed(&branch).contains(line), "{line} is not as it was");
    }

    let calls = std::fs::read_to_string(calls).unwrap();
    let ran: Vec<&str> = calls.lines().filter(|line| line.contains("execve")).collect();
    assert_eq!(ran.len(), 1, "only the program itself: {ran:#?}");
    let own = data.to_str().unwrap();
    let writes = |line: &&str| {
        let opens = line.contains("open") || line.contains("creat(");
        let makes = ["mkdir", "symlink", "link", "rename", "mknod"].iter().any(|call| line.contains(call));
        (makes || (opens && ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| line.contains(flag))))
            && !line.contains(" = -1 ")
    };
    let written: Vec<&str> = calls.lines().filter(writes).collect();
    assert!(written.len() > 20, "strace saw what is written: {}", written.len());
    let outside: Vec<&&str> = written
        .iter()
        .filter(|line| !line.contains(&format!("\"{own}/")) && !line.contains(&format!("\"{own}\"")))
        .collect();
    assert!(outside.is_empty(), "{outside:#?}");
    let followed: Vec<&str> = calls.lines().filter(|line| line.contains("passwd")).collect();
    assert!(followed.is_empty(), "a link was followed: {followed:#?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused_with_a_reason_or_left_out_and_memory_stays_bounded() {
    let (world, forged) = world(true).await;
    let serve = world.serve.as_ref().unwrap();
    let zeros = forged.zeros(200);
    forged.commit(&forged.beside(&[(FILE, b"zeros", zeros.clone())]));
    let said = refused(&world, "SHOP-1").await;
    assert!(said.contains("a file or directory larger than 128 MiB that its server does not leave out"), "{said}");

    // A server that can leave large files out does: the ticket works, and the file stays what it is.
    forged.git(&["config", "uploadpack.allowFilter", "true"], b"");
    world.say("wil", "SHOP-1", "retry").await;
    world.planned("SHOP-2", "Tax", TAX).await;
    world.approve("ada", "SHOP-2").await;
    let ticket = world.reaches("SHOP-2", "in_review").await;
    let branch = ticket.target().unwrap().branch.to_string();
    assert!(world.run_git(&["ls-tree", &branch]).contains(&zeros));

    let blob = forged.blob(b"x");
    let names: Vec<String> = (0..=50_000).map(|number| format!("f{number:06}")).collect();
    let many: Vec<Entry<'_>> = names.iter().map(|name| (FILE, name.as_bytes(), blob.clone())).collect();
    forged.commit(&forged.tree(&many));
    let said = refused(&world, "SHOP-3").await;
    assert!(said.contains("more than 50000 entries"), "{said}");

    let mut bomb = forged.tree(&[(FILE, b"a", blob)]);
    for _ in 0..12 {
        let ten: Vec<String> = (0..10).map(|number| format!("d{number}")).collect();
        let entries: Vec<Entry<'_>> = ten.iter().map(|name| (TREE, name.as_bytes(), bomb.clone())).collect();
        bomb = forged.tree(&entries);
    }
    forged.commit(&bomb);
    let said = refused(&world, "SHOP-4").await;
    assert!(said.contains("more than 50000 entries"), "{said}");

    let peak = serve.memory().1 / 1024 / 1024;
    println!("peak memory after all bombs: {peak} MiB");
    assert!(peak < 200, "{peak} MiB");
    world.end().await;
}
