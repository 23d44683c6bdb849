//! `prfactory.toml` of a data folder: tenant, policy, members, repositories and connections of one machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::error::Failure;
use domain::id::{EndpointId, IdError, MemberId, TenantId};
use domain::name::{BranchName, RepoName};
use domain::policy::{Policy, PolicyChange, PolicyError};
use domain::principal::Role;
use engine::directory::{self, Connection, ForgeRepo, MemberRow, Repository};
use engine::port::{Secret, Vault};
use engine::seal::SealError;
use engine::{Engine, tenancy::TenantCtx};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Everything the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How long what no live ticket names is kept, as `720h`: snapshots, prompts, answers.
    #[serde(default = "thirty_days")]
    pub keep: SignedDuration,
    /// The GitHub App, where there is one.
    pub github: Option<GithubSettings>,
    /// The tenants of this machine, usually one.
    pub tenant: Vec<TenantSettings>,
}

/// The GitHub App of this machine. Its private key is a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GithubSettings {
    /// The App's number.
    pub app_id: u64,
    /// The private key that GitHub made for it, in PEM.
    pub private_key_file: PathBuf,
    /// Where its API is, if not on github.com.
    pub api: Option<String>,
    /// Where people and git find repositories, if not on github.com.
    pub web: Option<String>,
}

fn thirty_days() -> SignedDuration {
    SignedDuration::from_hours(30 * 24)
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// Its identifier: `ten_` and letters or digits.
    pub id: TenantId,
    /// Its settings; what is absent has its default.
    #[serde(default)]
    pub policy: PolicyChange,
    /// Its people.
    #[serde(default)]
    pub member: Vec<MemberSettings>,
    /// Its repositories.
    #[serde(default)]
    pub repository: Vec<RepositorySettings>,
    /// Its webhook endpoints for Jira.
    #[serde(default)]
    pub endpoint: Vec<EndpointSettings>,
    /// Its installations of the GitHub App, by number.
    #[serde(default)]
    pub installations: Vec<u64>,
}

/// One person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSettings {
    /// `mem_` and letters or digits.
    pub id: MemberId,
    /// The name people know the person by.
    pub name: String,
    /// reader, writer, approver or admin.
    pub role: Role,
    /// The person's numeric id on GitHub.
    pub github: Option<u64>,
    /// The person's `accountId` in Jira.
    pub jira: Option<String>,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositorySettings {
    /// `owner/name`.
    pub name: RepoName,
    /// A path of this machine or an `http(s)` address without credentials; `github` where it is reached through the
    /// GitHub App.
    pub location: String,
    /// The branch tickets start from; on GitHub, its default branch unless said here.
    pub base: Option<BranchName>,
    /// Tracker projects whose tickets are meant for it.
    #[serde(default)]
    pub projects: Vec<String>,
    /// Tracker components whose tickets are meant for it.
    #[serde(default)]
    pub components: Vec<String>,
    /// The installation it is reached through, where the tenant has several.
    pub installation: Option<u64>,
    /// A file with the token for an `http(s)` address.
    pub token_file: Option<PathBuf>,
}

/// One webhook endpoint for Jira.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSettings {
    /// `ep_` and at least 26 random letters or digits.
    pub id: EndpointId,
    /// Which of its secrets is live; raise it to rotate.
    pub generation: u32,
    /// Whether it was removed.
    #[serde(default)]
    pub revoked: bool,
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {error}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// A tenant's policy breaks its ranges.
    #[error("tenant {tenant}: {error}")]
    Policy {
        /// Whose.
        tenant: TenantId,
        /// Every mistake.
        error: PolicyError,
    },
    /// An endpoint's id can be guessed.
    #[error("endpoint {0} is too short to be secret: use `ep_` and at least 26 random letters or digits")]
    GuessableEndpoint(EndpointId),
    /// An address carries a credential.
    #[error("repository {0}: the location must not contain a user or token; use `token_file`")]
    CredentialInAddress(RepoName),
    /// Two things have a name that only one may have.
    #[error("{what} {name} is there twice; each belongs to one place of one tenant. Remove one of them")]
    Twice {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A repository on GitHub that no installation can reach.
    #[error("repository {0}: say which of the tenant's `installations` reaches it with `installation = NUMBER`")]
    NoInstallation(RepoName),
    /// A member that has the name of those whom nobody named.
    #[error(
        "member {0}: names that begin with `mem_github` and a number are those of people on GitHub whom nobody named"
    )]
    CollaboratorsName(MemberId),
    /// There is no key to prove anything with.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// An identifier is wrong.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The state cannot be written.
    #[error(transparent)]
    State(#[from] Failure),
}

impl Settings {
    /// Reads the settings of a data folder.
    pub fn load(folder: &Path) -> Result<Self, SettingsError> {
        Self::read(&folder.join("prfactory.toml"))
    }

    /// Reads the settings of a file.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let path = path.to_owned();
        let text =
            std::fs::read_to_string(&path).map_err(|error| SettingsError::Unreadable { path: path.clone(), error })?;
        toml::from_str(&text).map_err(|error| SettingsError::Malformed { path, error: Box::new(error) })
    }

    /// Checks everything that can be checked without the state.
    pub fn check(&self) -> Result<BTreeMap<TenantId, Policy>, SettingsError> {
        let mut policies = BTreeMap::new();
        self.check_names()?;
        for tenant in &self.tenant {
            let policy = Policy::standard()
                .with(&tenant.policy)
                .map_err(|error| SettingsError::Policy { tenant: tenant.id.clone(), error })?;
            for endpoint in &tenant.endpoint {
                // 26 of 36 characters are 134 bits.
                if endpoint.id.as_str().len() < EndpointId::PREFIX.len() + 26 {
                    return Err(SettingsError::GuessableEndpoint(endpoint.id.clone()));
                }
            }
            for repository in &tenant.repository {
                let after_scheme = repository.location.split_once("://").map_or("", |(_, rest)| rest);
                if after_scheme.split('/').next().is_some_and(|host| host.contains('@')) {
                    return Err(SettingsError::CredentialInAddress(repository.name.clone()));
                }
            }
            policies.insert(tenant.id.clone(), policy);
        }
        Ok(policies)
    }
}

impl Settings {
    /// What leads to a tenant must lead to one, and what is named within a tenant must be one thing.
    fn check_names(&self) -> Result<(), SettingsError> {
        let mut seen = BTreeSet::new();
        let mut once = |what: &'static str, scope: &str, name: String| {
            let fresh = seen.insert((what, scope.to_owned(), name.clone()));
            if fresh { Ok(()) } else { Err(SettingsError::Twice { what, name }) }
        };
        for tenant in &self.tenant {
            let id = tenant.id.as_str();
            once("tenant", "", id.to_owned())?;
            for installation in &tenant.installations {
                once("installation", "", installation.to_string())?;
            }
            for endpoint in &tenant.endpoint {
                once("endpoint", "", endpoint.id.to_string())?;
            }
            for repository in &tenant.repository {
                once("repository", id, repository.name.to_string())?;
            }
            for member in &tenant.member {
                let number = member.id.as_str().strip_prefix("mem_github");
                if number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty()) {
                    return Err(SettingsError::CollaboratorsName(member.id.clone()));
                }
                once("member", id, member.id.to_string())?;
                for (provider, account) in
                    [("GitHub account", member.github.map(|n| n.to_string())), ("Jira account", member.jira.clone())]
                {
                    if let Some(account) = account {
                        once(provider, id, account)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Brings the directory in line with the settings.
pub async fn seed(engine: &Engine, vault: &dyn Vault, settings: &Settings) -> Result<(), SettingsError> {
    let policies = settings.check()?;
    for tenant in &settings.tenant {
        let ctx = engine.sealer.operator(&tenant.id)?;
        if let Some(policy) = policies.get(&tenant.id) {
            directory::store_policy(engine, &ctx, policy).await?;
        }
        seed_members(engine, &ctx, &tenant.member).await?;
        for repository in &tenant.repository {
            seed_repository(engine, vault, &ctx, tenant, repository).await?;
        }
        for endpoint in &tenant.endpoint {
            // A secret that was replaced does not come back, whatever the file still says.
            let known = directory::endpoint(engine, &endpoint.id).await?.map_or(0, |known| known.generation);
            let generation = endpoint.generation.max(known);
            let revoked = endpoint.revoked;
            let connection = Connection { revoked, ..Connection::live(tenant.id.clone(), generation) };
            directory::store_endpoint(engine, &endpoint.id, &connection).await?;
        }
        for installation in &tenant.installations {
            match directory::installation(engine, *installation).await? {
                // Where it was uninstalled or suspended, what the settings say cannot bring it back.
                Some(known) if known.tenant == tenant.id => {}
                Some(_) => {
                    let id = &tenant.id;
                    tracing::warn!(tenant.id = %id, installation, "an installation of another tenant stays that tenant's");
                }
                None => directory::claim(engine, &ctx, *installation).await?,
            }
        }
    }
    Ok(())
}

async fn seed_members(engine: &Engine, ctx: &TenantCtx, members: &[MemberSettings]) -> Result<(), SettingsError> {
    for member in members {
        let known = directory::member_row(engine, ctx, &member.id).await?;
        let row = MemberRow::new(member.id.clone(), member.name.clone(), member.role);
        let row = match known {
            Some(known) => MemberRow { github: known.github, teams: known.teams, ..row },
            None => row,
        };
        let mut identities = Vec::new();
        identities.extend(member.github.map(|id| ("github".to_owned(), id.to_string())));
        identities.extend(member.jira.clone().map(|id| ("jira".to_owned(), id)));
        directory::store_member(engine, ctx, &row, &identities).await?;
    }
    let keep: Vec<MemberId> = members.iter().map(|member| member.id.clone()).collect();
    Ok(directory::retain_members(engine, ctx, &keep).await?)
}

/// The location of a repository that is reached through the GitHub App.
const GITHUB: &str = "github";

async fn seed_repository(
    engine: &Engine,
    vault: &dyn Vault,
    ctx: &TenantCtx,
    tenant: &TenantSettings,
    settings: &RepositorySettings,
) -> Result<(), SettingsError> {
    let known = directory::repository(engine, ctx, &settings.name).await?;
    let github = match (settings.location.as_str(), settings.installation, tenant.installations.as_slice()) {
        (GITHUB, Some(one), _) | (GITHUB, None, &[one]) => {
            let before = known.as_ref().and_then(|row| row.github.clone()).filter(|row| row.installation == one);
            let new = ForgeRepo {
                installation: one,
                id: None,
                name: settings.name.clone(),
                public: false,
                seen: false,
                follows: true,
            };
            Some(ForgeRepo { follows: settings.base.is_none(), ..before.unwrap_or(new) })
        }
        (GITHUB, None, _) => return Err(SettingsError::NoInstallation(settings.name.clone())),
        _ => None,
    };
    let followed = known.filter(|_| github.is_some()).map(|row| row.base);
    let row = Repository {
        name: settings.name.clone(),
        location: settings.location.clone(),
        base: settings.base.clone().or(followed).unwrap_or_else(BranchName::main),
        projects: settings.projects.clone(),
        components: settings.components.clone(),
        github,
        token: match &settings.token_file {
            Some(path) => {
                let token = std::fs::read_to_string(path)
                    .map_err(|error| SettingsError::Unreadable { path: path.clone(), error })?;
                let secret = Secret::new(token.trim().as_bytes().to_vec());
                Some(vault.seal(ctx, "git", &secret).await?)
            }
            None => None,
        },
    };
    Ok(directory::store_repository(engine, ctx, &row).await?)
}
