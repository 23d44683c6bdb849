//! Whether a change still parses: asked before it is handed in, and not insisted on.

use domain::change_set::FileChange;
use workspace::Jail;

/// Most places that are named.
const MAX_PLACES: usize = 5;

/// What no longer parses, written for the model; `None` where everything does, or nobody can tell.
pub(crate) fn problem(jail: &Jail) -> Option<String> {
    let mut places = Vec::new();
    let base = |path| jail.base().read(path).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
    let gone = jail.changes().iter().filter(|(_, change)| **change == FileChange::Delete);
    // A moved file comes from one that is gone.
    let gone: Vec<String> = gone.filter_map(|(path, _)| base(path)).collect();
    for (path, change) in jail.changes() {
        let FileChange::Write { text, .. } = change else { continue };
        let own = base(path);
        let before: Vec<&str> =
            own.as_deref().map_or_else(|| gone.iter().map(String::as_str).collect(), |own| vec![own]);
        if let Some((line, what)) = context::broken(path.as_str(), &before, text) {
            places.push(format!("{path}, line {line}: {what}"));
        }
    }
    places.truncate(MAX_PLACES);
    (!places.is_empty()).then(|| {
        format!(
            "These places do not parse:\n{}\nMend them. If you are sure that they are right, call `finish` again \
             without changing anything.",
            places.join("\n")
        )
    })
}
