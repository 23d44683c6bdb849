//! Python programs at pinned versions, in environments of their own below the build folder.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::program::{output, root, target};

/// An environment with what `infra/NAME.txt` lists, made on first use and whenever that list changes.
pub fn environment(name: &str) -> anyhow::Result<PathBuf> {
    let list = root().join("infra").join(format!("{name}.txt"));
    let wanted = std::fs::read_to_string(&list).with_context(|| format!("{} cannot be read", list.display()))?;
    let place = target().join("python").join(name);
    let done = place.join("installed.txt");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(place);
    }
    let missing = "Python 3.10 or newer with `venv` and `pip` is needed (Debian: `apt-get install python3-venv`)";
    eprintln!("installing what {} lists", list.display());
    output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place)).context(missing)?;
    let pip = place.join("bin/pip");
    output(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&list))
        .with_context(|| format!("what {} lists cannot be installed", list.display()))?;
    std::fs::write(done, wanted)?;
    Ok(place)
}
