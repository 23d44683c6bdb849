//! The command line.

mod admin;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use admin::{Admin, AdminTask, EndpointTask, InstallationTask, MemberTask, TenantTask};

use crate::github::GithubTask;
use crate::jira::JiraTask;

/// Turns a ticket into a reviewed pull request; people decide, it never merges.
#[derive(Debug, Parser)]
#[command(
    name = "prfactory",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 refused (role, state or hash), 4 no such ticket."
)]
pub struct Cli {
    /// Prints one JSON object a line instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// The folder that holds state, settings and secrets.
    #[arg(long, global = true, default_value = ".prfactory", env = "PRFACTORY_DATA")]
    pub data: PathBuf,
    /// The member who speaks, by id or name; needed when the settings have several.
    #[arg(long = "as", global = true, value_name = "MEMBER", env = "PRFACTORY_AS")]
    pub member: Option<String>,
    /// The tenant, when the settings have several.
    #[arg(long, global = true, env = "PRFACTORY_TENANT")]
    pub tenant: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the whole way of a ticket on this machine, in a fresh folder.
    Demo(Demo),
    /// Runs the system on this machine: webhooks, workers, state.
    Serve(Serve),
    /// Makes, lists and shows tickets.
    #[command(subcommand)]
    Ticket(Ticket),
    /// Answers questions: `prfactory answer KEY 1: yes 2: no`. Without answers, takes the defaults.
    Answer {
        /// The ticket.
        key: String,
        /// Numbered answers.
        #[arg(trailing_var_arg = true)]
        answers: Vec<String>,
    },
    /// Approves what waits; for a plan or a diff, its hash.
    Approve {
        /// The ticket.
        key: String,
        /// The first 12 or more digits of what you approve.
        hash: Option<String>,
        /// What you want to add.
        #[arg(long)]
        note: Option<String>,
    },
    /// Decides against what waits.
    Reject {
        /// The ticket.
        key: String,
        /// Why.
        #[arg(required = true, trailing_var_arg = true)]
        reason: Vec<String>,
    },
    /// Has the plan revised.
    Replan {
        /// The ticket.
        key: String,
        /// What to change.
        #[arg(required = true, trailing_var_arg = true)]
        instruction: Vec<String>,
    },
    /// Calls a ticket off.
    Cancel {
        /// The ticket.
        key: String,
    },
    /// Goes on from the failed step.
    Retry {
        /// The ticket.
        key: String,
    },
    /// Says any other command, as in a comment: `prfactory say KEY budget +2`.
    Say {
        /// The ticket.
        key: String,
        /// The command.
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Shows where a ticket stands.
    Status {
        /// The ticket.
        key: String,
        /// Goes on until somebody has to act or it ends.
        #[arg(long)]
        watch: bool,
    },
    /// Shows the pull request of a ticket, with its diff.
    Pr {
        /// The ticket.
        key: String,
    },
    /// Prints the webhook addresses with their secrets, to be entered at GitHub and Jira.
    Webhooks,
    /// Connects an installation of the GitHub App to the tenant.
    #[command(subcommand)]
    Github(GithubTask),
    /// Connects the tenant to its site of Jira, or checks the connection.
    #[command(subcommand)]
    Jira(JiraTask),
    /// Shows what models were used for and what that cost: of a ticket, or of all in a month.
    Usage {
        /// The ticket; all of them unless told otherwise.
        key: Option<String>,
        /// The month, such as 2026-11; the present one unless told otherwise.
        #[arg(long, conflicts_with = "key")]
        month: Option<String>,
    },
    /// Shows which files, definitions and lines of a repository a ticket is about, and why; no model is asked.
    Context(ContextArgs),
    /// Checks this machine, the settings and the model, and explains what is wrong.
    Doctor(Doctor),
    /// Administers a stack on AWS with the credentials of its operator.
    Admin(Admin),
    /// Writes a first `prfactory.toml` into the data folder.
    Init {
        /// `owner/name` of the repository.
        #[arg(long)]
        repo: String,
        /// Where git finds it: a path or an `http(s)` address.
        #[arg(long)]
        location: String,
        /// The branch tickets start from.
        #[arg(long, default_value = "main")]
        base: String,
    },
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Answers and approves everything by itself.
    #[arg(long)]
    pub yes: bool,
    /// A repository of your own: a path or an `http(s)` address. Only a branch `prfactory/…` is written.
    #[arg(long, requires = "ticket")]
    pub repo: Option<String>,
    /// The ticket, as Markdown; its first line is the title.
    #[arg(long, requires = "repo")]
    pub ticket: Option<PathBuf>,
    /// The branch to start from; for a path, its `HEAD` unless told otherwise.
    #[arg(long, requires = "repo")]
    pub base: Option<String>,
    /// A file with the token for an `http(s)` address.
    #[arg(long, requires = "repo")]
    pub token_file: Option<PathBuf>,
    /// The model to be used.
    #[command(flatten)]
    pub model: Model,
}

/// Arguments of `context`.
#[derive(Debug, Args)]
pub struct ContextArgs {
    /// A git repository on this machine; its last commit is read, not its work tree.
    #[arg(long)]
    pub repo: PathBuf,
    /// The ticket, as Markdown; its first line is the title.
    #[arg(long)]
    pub ticket: PathBuf,
    /// The branch to read; its `HEAD` unless told otherwise.
    #[arg(long)]
    pub base: Option<String>,
    /// How many files to show.
    #[arg(long, default_value_t = 20)]
    pub max: usize,
    /// Shows instead what a model would be shown.
    #[arg(long)]
    pub packed: bool,
    /// Most tokens of what a model would be shown.
    #[arg(long, default_value_t = 20_000, requires = "packed")]
    pub tokens: usize,
}

/// Who gives the model.
#[derive(Debug, Clone, Args)]
pub struct Provider {
    /// The key for the model provider.
    #[arg(long, env = "ANTHROPIC_API_KEY", hide_env_values = true, hide = true)]
    pub model_key: Option<String>,
    /// The provider's address.
    #[arg(long, env = "ANTHROPIC_BASE_URL")]
    pub model_url: Option<String>,
}

/// Where the model is.
#[derive(Debug, Clone, Args)]
pub struct Model {
    /// Who gives it.
    #[command(flatten)]
    pub provider: Provider,
    /// The model to use where nobody names one.
    #[arg(long, env = "PRFACTORY_MODEL")]
    pub model: Option<String>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Who gives the model.
    #[command(flatten)]
    pub provider: Provider,
    /// Also makes one small live call, which costs less than a cent; of the default model unless one is named.
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    pub model: Option<Option<String>>,
    /// The model that `serve` uses where nobody names one.
    #[arg(long, env = "PRFACTORY_MODEL", hide = true)]
    pub default_model: Option<String>,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen for webhooks.
    #[arg(long, default_value = "127.0.0.1:8787", env = "PRFACTORY_LISTEN")]
    pub listen: SocketAddr,
    /// Workers for each stage.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// The model to be used.
    #[command(flatten)]
    pub model: Model,
}

/// What to do with tickets.
#[derive(Debug, Subcommand)]
pub enum Ticket {
    /// Starts a ticket.
    Create {
        /// The key people will know it by: `LOCAL-1`.
        #[arg(long)]
        key: String,
        /// The ticket, as Markdown; its first line is the title.
        #[arg(long)]
        file: PathBuf,
        /// The repository, when several are connected.
        #[arg(long)]
        repo: Option<String>,
        /// The branch to start from.
        #[arg(long)]
        base: Option<String>,
    },
    /// Lists tickets.
    List,
    /// Shows a ticket with all that was said on it.
    Show {
        /// The ticket.
        key: String,
    },
}
