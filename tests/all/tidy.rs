//! Rules about the code: sizes, first sentences, who may know whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() && name != "target" && name != ".git" {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut all = Vec::new();
    walk(&root(), &mut all);
    assert!(all.len() > 80, "only {} source files were found", all.len());
    all
}

#[test]
fn files_are_short_and_begin_with_a_sentence() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= 400, "{}: {lines} lines", path.display());
        let first = text.lines().next().unwrap_or("");
        let starts = first.starts_with("//! ") || first.starts_with("#![doc = include_str!");
        assert!(starts, "{} does not begin with a `//!` sentence: {first}", path.display());
    }
}

#[test]
fn nothing_is_left_undone_or_waits_by_sleeping() {
    for path in sources().into_iter().filter(|path| !path.ends_with("all/tidy.rs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for forbidden in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "#[should_panic", "FIXME"] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", path.display());
        }
        assert!(
            !path.starts_with(root().join("tests")) || !text.contains("sleep(Duration"),
            "{} sleeps",
            path.display()
        );
    }
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Our packages with the packages each uses outside tests.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let mut edges = BTreeMap::new();
    for package in packages {
        let uses = package["dependencies"].as_array().unwrap().iter();
        let uses = uses.filter(|d| d["kind"].is_null()).map(|d| d["name"].as_str().unwrap().to_owned());
        edges.insert(package["name"].as_str().unwrap().to_owned(), uses.collect());
    }
    edges
}

#[test]
fn arrows_go_down_only() {
    let edges = edges();
    let ours: BTreeSet<&String> = edges.keys().collect();
    let of = |name: &str| -> Vec<&String> { edges[name].iter().filter(|to| ours.contains(to)).collect() };
    assert_eq!(of("domain"), Vec::<&String>::new());
    assert_eq!(of("commands"), ["domain"]);
    assert_eq!(of("engine"), ["commands", "domain"]);
    let adapters =
        ["forge", "tracker", "local", "aws", "clock", "webhooks", "workspace", "context", "agent", "testkit", "lambda"];
    // `lambda` puts the ports on AWS together, as `cli` does on one machine.
    let allowed: &[(&str, &str)] = &[
        ("agent", "context"),
        ("agent", "workspace"),
        ("local", "clock"),
        ("lambda", "aws"),
        ("lambda", "clock"),
        ("lambda", "forge"),
        ("lambda", "webhooks"),
    ];
    for adapter in adapters {
        for to in of(adapter) {
            let fine = ["domain", "commands", "engine"].contains(&to.as_str()) || allowed.contains(&(adapter, to));
            assert!(fine, "{adapter} must not know {to}");
        }
    }
}

#[test]
fn the_pure_and_the_simulated_know_no_runtime_and_no_file_system() {
    let edges = edges();
    let functions = std::fs::read_dir(root().join("functions")).unwrap().flatten();
    let functions: Vec<String> = functions.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(functions.len(), 14);
    for name in functions.iter().map(String::as_str).chain(["domain", "commands", "engine"]) {
        for runtime in ["tokio", "reqwest", "rusqlite", "axum", "gix", "tempfile", "octocrab"] {
            assert!(!edges[name].contains(runtime), "{name} uses {runtime}");
        }
    }
    for path in sources() {
        let inside = path.strip_prefix(root()).unwrap().to_owned();
        let pure =
            ["functions", "shared/domain", "shared/commands", "shared/engine"].iter().any(|p| inside.starts_with(p));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!pure || !text.contains("std::fs"), "{} touches files", inside.display());
    }
}

#[test]
fn the_engine_names_no_vendor() {
    for path in sources() {
        let inside = path.strip_prefix(root()).unwrap().to_owned();
        if !inside.starts_with("shared/engine/src/commit.rs") && !inside.starts_with("shared/engine/src/stage.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
        for vendor in ["github", "jira", "anthropic", "sqlite", "lambda"] {
            assert!(!text.contains(vendor), "{} names {vendor}", inside.display());
        }
    }
}

/// The crates a package links, a line each.
fn tree(package: &str) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "-p", package, "--prefix", "none", "-e", "normal", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.lines().count() > 50, "cargo tree printed too little");
    tree
}

#[test]
fn webhook_functions_link_the_sdks_of_their_queue_and_their_secret_alone() {
    for package in ["github-webhook", "jira-webhook"] {
        let tree = tree(package);
        let sdks: BTreeSet<&str> =
            tree.lines().filter_map(|line| line.split(' ').next()?.strip_prefix("aws-sdk-")).collect();
        assert_eq!(sdks, BTreeSet::from(["secretsmanager", "sqs"]), "{package}");
        for heavy in ["reqwest", "gix", "regex", "lambda-extension"] {
            assert!(!tree.lines().any(|line| line.starts_with(&format!("{heavy} "))), "{package} links {heavy}");
        }
    }
}

#[test]
fn the_command_line_links_no_aws_code() {
    let tree = tree("prfactory");
    let aws = |line: &str| line.starts_with("aws-") && !line.starts_with("aws-lc-") || line.starts_with("lambda");
    assert_eq!(tree.lines().find(|line| aws(line)), None);
}
