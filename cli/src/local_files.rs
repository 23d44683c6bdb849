//! Files the command line reads for people.

use std::path::Path;

use anyhow::{Context as _, bail};
use domain::ticket::TicketText;

/// Reads a ticket from Markdown: the first line, with or without `#`, is the title.
pub(crate) fn ticket(path: &Path) -> anyhow::Result<TicketText> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let (title, body) = text.trim_start().split_once('\n').unwrap_or((text.trim(), ""));
    let title = title.trim_start_matches('#').trim().to_owned();
    if title.is_empty() {
        bail!("{} is empty; its first line is the title of the ticket", path.display());
    }
    Ok(TicketText { title, body: body.trim().to_owned() })
}
