//! The demo's own repository: a small program with a history, and a ticket for it.

use std::path::Path;

use anyhow::Context as _;
use domain::Timestamp;
use domain::name::BranchName;
use domain::path::RepoPath;
use domain::ticket::TicketText;
use workspace::{Revision, create_repository};

const README: &str = "# greeter\n\nSays hello to everybody on a list.\n\n```\npython -m greeter names.txt\n```\n";
const MAIN_1: &str = "\"\"\"Says hello.\"\"\"\n\nimport sys\n\n\ndef greet(name):\n    return \"Hello \" + name\n\n\nif __name__ == \"__main__\":\n    print(greet(sys.argv[1]))\n";
const MAIN_2: &str = "\"\"\"Says hello to everybody on a list.\"\"\"\n\nimport sys\n\nfrom greeter.names import read_names\n\n\ndef greet(name):\n    \"\"\"Returns the greeting for one person.\"\"\"\n    return \"Hello \" + name\n\n\ndef main(path):\n    for name in read_names(path):\n        print(greet(name))\n\n\nif __name__ == \"__main__\":\n    main(sys.argv[1])\n";
const NAMES: &str = "\"\"\"Reads the list of names.\"\"\"\n\n\ndef read_names(path):\n    \"\"\"Yields one name a line, leaving out empty lines.\"\"\"\n    with open(path, encoding=\"utf-8\") as lines:\n        for line in lines:\n            if line.strip():\n                yield line.strip()\n";
const TEST: &str =
    "from greeter.__main__ import greet\n\n\ndef test_greet():\n    assert greet(\"Ada\") == \"Hello Ada\"\n";
const IGNORE: &str = "__pycache__/\n*.pyc\n";

fn revision(message: &str, at: &str, files: &[(&str, &str)]) -> anyhow::Result<Revision> {
    let files = files.iter().map(|(path, text)| Ok((RepoPath::parse(path)?, (*text).to_owned())));
    let files = files.collect::<Result<_, domain::path::PathError>>()?;
    Ok(Revision {
        message: message.to_owned(),
        at: at.parse::<Timestamp>().context("a date of the demo's history")?,
        files,
    })
}

/// Makes the repository.
pub(super) fn create(path: &Path, branch: &BranchName) -> anyhow::Result<()> {
    let history = [
        revision("Say hello", "2026-01-12T09:00:00Z", &[("greeter/__init__.py", ""), ("greeter/__main__.py", MAIN_1)])?,
        revision("Explain how to run it", "2026-02-03T14:30:00Z", &[("README.md", README), (".gitignore", IGNORE)])?,
        revision(
            "Greet everybody on a list",
            "2026-03-20T11:15:00Z",
            &[("greeter/__main__.py", MAIN_2), ("greeter/names.py", NAMES)],
        )?,
        revision("Test the greeting", "2026-03-21T08:05:00Z", &[("tests/test_greet.py", TEST)])?,
    ];
    create_repository(path, branch, &history)?;
    Ok(())
}

/// The ticket.
pub(super) fn ticket() -> TicketText {
    TicketText {
        title: "Greet people politely".to_owned(),
        body: "Our greeting reads like a log line. Replace `\"Hello \" + name` with `f\"Hello, {name}!\"` in `greeter/__main__.py`,\n\
               and let the test expect it: replace `\"Hello Ada\"` with `\"Hello, Ada!\"`.\n\n\
               While we are at it, rename `greet` to `greeting`, because it returns a text and greets nobody."
            .to_owned(),
    }
}
