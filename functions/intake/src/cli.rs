//! Requests of this machine's command line; the same grammar as everywhere else.

use domain::error::Failure;
use domain::name::{BranchName, RepoName, TrackerKey};
use domain::ticket::TicketText;
use engine::port::{Place, Said, SaidKind};
use serde::{Deserialize, Serialize};

use crate::command::{carry_out, ticket_of};
use crate::record::Heard;
use crate::record::ignored;
use crate::start::{self, Subject};
use crate::{Answer, Case};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CliRequest {
    /// Unique, so that a request is never carried out twice.
    pub id: String,
    /// The ticket.
    pub key: TrackerKey,
    /// What is wished.
    pub wish: CliWish,
}

/// What is wished of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CliWish {
    /// Start it.
    Create {
        /// Its words.
        text: TicketText,
        /// The repository, where there are several.
        repo: Option<RepoName>,
        /// The branch to start from, where it is not the repository's usual one.
        base: Option<BranchName>,
    },
    /// A command as it would stand in a comment after the mention.
    Say {
        /// The command.
        command: String,
    },
}

/// Takes in a request.
pub(crate) async fn accept(case: &Case<'_>) -> Result<Answer, Failure> {
    let Ok(request) = serde_json::from_slice::<CliRequest>(case.body) else {
        return ignored(case, "not a request of the command line").await;
    };
    let Some(member) = case.member.clone() else {
        return ignored(case, "the request is by nobody we know").await;
    };
    let place = format!("cli#{}", request.key);
    let named = (place.as_str(), request.id.as_str());
    let at = Place::Machine(request.key.clone());
    let said = Said { place: at.clone(), id: request.id.clone(), kind: SaidKind::Comment };
    let heard = Heard { said, named: Some(named) };
    let empty = || TicketText { title: String::new(), body: String::new() };
    match request.wish {
        CliWish::Create { text, repo, base } => {
            let subject = Subject { key: request.key, at, text, repo, base };
            start::trigger(case, subject, &member, &heard).await
        }
        CliWish::Say { command } => {
            let ticket = ticket_of(case, &request.key).await?;
            let text = ticket.as_ref().map_or_else(empty, |ticket| ticket.text.clone());
            let repo = ticket.as_ref().and_then(|ticket| ticket.target().map(|target| target.repo.clone()));
            let subject = Subject { key: request.key, at, text, repo, base: None };
            match commands::parse(&command) {
                Ok(command) => carry_out(case, &member, subject, ticket, Some(command), &heard).await,
                Err(error) => crate::record::tell(case, &heard, error.to_string(), true).await,
            }
        }
    }
}
