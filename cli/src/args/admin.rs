//! What an operator of a stack on AWS types.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use forge::AppSettings;

use crate::jira::JiraTask;

/// Arguments of `admin`.
#[derive(Debug, Args)]
pub struct Admin {
    /// What the stack says of itself: the output of `aws cloudformation describe-stacks --stack-name NAME`.
    #[arg(long, value_name = "FILE", env = "PRFACTORY_STACK")]
    pub stack: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub task: AdminTask,
}

/// What an operator does.
#[derive(Debug, Subcommand)]
pub enum AdminTask {
    /// Brings tenants, policies, members, repositories and connections in line with a `prfactory.toml`.
    Apply {
        /// The file.
        file: PathBuf,
    },
    /// Tenants.
    #[command(subcommand)]
    Tenant(TenantTask),
    /// Members of a tenant.
    #[command(subcommand)]
    Member(MemberTask),
    /// Webhook endpoints of a tenant.
    #[command(subcommand)]
    Endpoint(EndpointTask),
    /// Installations of the GitHub App.
    #[command(subcommand)]
    Installation(InstallationTask),
    /// Puts the GitHub App's private key into KMS, where it signs and never comes back from; prints what the template's
    /// `GithubAppKeyArn` takes.
    AppKey {
        /// The key, as GitHub hands it out.
        file: PathBuf,
    },
    /// A tenant's site of Jira.
    Jira {
        /// The tenant.
        #[arg(long = "of", value_name = "TENANT")]
        tenant: String,
        /// The endpoint that the site delivers to; without one, no webhook is registered.
        #[arg(long)]
        endpoint: Option<String>,
        /// What to do.
        #[command(subcommand)]
        task: JiraTask,
    },
    /// Prints the address and the secret of the GitHub App's webhook, or of an endpoint for Jira.
    Webhook {
        /// The endpoint.
        #[arg(long)]
        endpoint: Option<String>,
    },
}

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantTask {
    /// Makes a tenant with the standard policy.
    Create {
        /// `ten_` and letters or digits.
        id: String,
        /// Its installation of the GitHub App, by number.
        #[arg(long)]
        installation: Option<u64>,
    },
}

/// What to do with members.
#[derive(Debug, Subcommand)]
pub enum MemberTask {
    /// Makes a member, or gives one another name, role or identity.
    Create {
        /// `mem_` and letters or digits.
        id: String,
        /// The tenant.
        #[arg(long = "of", value_name = "TENANT")]
        tenant: String,
        /// The name people know the person by.
        #[arg(long)]
        name: String,
        /// reader, writer, approver or admin.
        #[arg(long)]
        role: String,
        /// The person's numeric id on GitHub.
        #[arg(long)]
        github: Option<u64>,
        /// The person's `accountId` in Jira.
        #[arg(long)]
        jira: Option<String>,
    },
}

/// What to do with installations.
#[derive(Debug, Subcommand)]
pub enum InstallationTask {
    /// Connects an installation to a tenant, once a person has signed in at GitHub who administers its account.
    Claim {
        /// The tenant.
        #[arg(long = "of", value_name = "TENANT")]
        tenant: String,
        /// The App's client id, as its settings on GitHub say.
        #[arg(long)]
        client_id: String,
        /// The installation's number, where the person administers several.
        #[arg(long)]
        installation: Option<u64>,
        /// Where GitHub's API is.
        #[arg(long, default_value = AppSettings::API)]
        api: String,
        /// Where people find GitHub.
        #[arg(long, default_value = AppSettings::WEB)]
        web: String,
    },
    /// Removes an installation for good, as GitHub's own news of it does: nothing is written through it any more.
    Revoke {
        /// The number GitHub gives it.
        number: u64,
    },
}

/// What to do with endpoints.
#[derive(Debug, Subcommand)]
pub enum EndpointTask {
    /// Makes an endpoint for a tenant's Jira and prints its address and secret.
    Create {
        /// The tenant.
        #[arg(long = "of", value_name = "TENANT")]
        tenant: String,
    },
    /// Gives an endpoint its next secret; deliveries under the one before are refused from then on.
    Rotate {
        /// The endpoint.
        id: String,
    },
}
