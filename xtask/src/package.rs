//! Functions as Lambda takes them: one `bootstrap` in one zip each.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::program::{output, root, run, target};
use crate::python;

/// Every function.
pub const FUNCTIONS: [&str; 14] = [
    "github-webhook",
    "jira-webhook",
    "intake",
    "snapshot",
    "analyze",
    "refine",
    "plan",
    "implement",
    "review",
    "publish",
    "revise",
    "model",
    "notify",
    "sweep",
];

/// The feature with which the command line can administer a stack; one build serves it and every function.
pub const CLI: &str = "prfactory/aws";

/// The newest glibc that `provided.al2023` has.
const GLIBC: (u32, u32) = (2, 34);

/// Where the zips of a release are, as the template names them.
fn released() -> PathBuf {
    root().join(RELEASED)
}

/// The folder of zips that the template names.
pub(crate) const RELEASED: &str = "target/lambda";

/// Where the zips of the development build are, which nobody deploys by mistake.
pub fn developed() -> PathBuf {
    target().join("debug/lambda")
}

/// Packs the binaries of the last development build, for this machine.
pub fn development() -> anyhow::Result<()> {
    for name in FUNCTIONS {
        let built = target().join("debug").join(name);
        let bootstrap = target().join("debug").join(format!("{name}.bootstrap"));
        std::fs::copy(&built, &bootstrap).with_context(|| format!("{} was not built", built.display()))?;
        // Symbols are half of it, and nobody reads them there.
        output(Command::new("strip").arg(&bootstrap))
            .context("`strip` is needed (Debian: `apt-get install binutils`)")?;
        pack(&bootstrap, name, &developed(), CompressionMethod::Stored)?;
    }
    Ok(())
}

/// Builds functions as they are deployed, checks that Lambda can load them, packs them, and prints their sizes.
pub fn release(names: &[String], arm64: bool) -> anyhow::Result<()> {
    let tools = python::environment("package")?.join("bin");
    let path = search_path(&tools);
    let all: Vec<&str> = FUNCTIONS.into_iter().filter(|f| names.is_empty() || names.iter().any(|n| n == f)).collect();
    if all.len() < names.len() {
        bail!("there are these functions: {}", FUNCTIONS.join(" "));
    }
    if arm64 && !has_target("aarch64-unknown-linux-gnu")? {
        bail!("arm64 was NOT BUILT: the target is not installed (`rustup target add aarch64-unknown-linux-gnu`)");
    }
    // Its own idea of a release would abort on a panic, which the runtime has to contain.
    let mut arguments = vec!["lambda", "build", "--release", "--locked", "--disable-optimizations"];
    arguments.extend(arm64.then_some("--arm64"));
    for name in &all {
        arguments.extend(["--package", name]);
    }
    run("cargo", &arguments, &[("PATH", &path)])?;
    for name in all {
        let bootstrap = target().join("lambda").join(name).join("bootstrap");
        let glibc = newest_glibc(&bootstrap)?;
        if glibc > GLIBC {
            bail!("{name} needs glibc {}.{}; provided.al2023 has {}.{}", glibc.0, glibc.1, GLIBC.0, GLIBC.1);
        }
        let zip = pack(&bootstrap, name, &released(), CompressionMethod::Deflated)?;
        let (whole, packed) = (std::fs::metadata(&bootstrap)?.len(), std::fs::metadata(&zip)?.len());
        let (major, minor) = glibc;
        let (whole, packed) = (megabytes(whole), megabytes(packed));
        say(&format!("{name:15} {whole:6.2} MB, zipped {packed:5.2} MB, glibc {major}.{minor}"));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the task is for")]
fn say(text: &str) {
    println!("{text}");
}

/// Where programs are found, with those of an environment first.
fn search_path(first: &Path) -> String {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    format!("{}:{}", first.display(), rest.display())
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

fn has_target(name: &str) -> anyhow::Result<bool> {
    let folder = output(Command::new("rustc").args(["--print", "target-libdir", "--target", name]))?;
    Ok(Path::new(folder.trim()).exists())
}

/// The newest version of glibc that a binary asks for.
fn newest_glibc(binary: &Path) -> anyhow::Result<(u32, u32)> {
    let symbols = output(Command::new("objdump").arg("-T").arg(binary))
        .context("`objdump` is needed (Debian: `apt-get install binutils`)")?;
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let version = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    });
    versions.max().context("the binary asks for no glibc at all")
}

/// Puts a binary into a zip of a folder.
fn pack(bootstrap: &Path, name: &str, folder: &Path, method: CompressionMethod) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let place = folder.join(format!("{name}.zip"));
    let options = SimpleFileOptions::default().compression_method(method).unix_permissions(0o755);
    let mut zip = ZipWriter::new(std::fs::File::create(&place)?);
    zip.start_file("bootstrap", options)?;
    zip.write_all(&std::fs::read(bootstrap)?)?;
    zip.finish()?;
    Ok(place)
}
