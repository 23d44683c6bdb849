//! Who is who: tenants, their settings, members, repositories and connections.

mod known;
mod pull;
mod site;

use domain::error::{Failure, Fault};
use domain::id::{EndpointId, MemberId, TenantId};
use domain::name::{BranchName, RepoName};
use domain::policy::Policy;
use domain::principal::{Member, Role, Via};
use domain::ticket::Ticket;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Engine;
use crate::key::Key;
use crate::port::{Condition, Index, Item, Person, Write};
use crate::tenancy::TenantCtx;

pub use known::{claim, known_as, offer};
pub use pull::{pull_request_write, ticket_of_pull_request};
pub use site::{JiraLogin, JiraSite, JiraStatuses, jira, replace_jira, store_jira};

/// A connected repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// `owner/name`.
    pub name: RepoName,
    /// Where git finds it: a path of this machine, or an `http(s)` address without credentials.
    pub location: String,
    /// The branch tickets start from.
    pub base: BranchName,
    /// Tracker projects whose tickets are meant for it: `KAN`.
    pub projects: Vec<String>,
    /// The token for an `http(s)` address, sealed by the vault for the purpose `git`.
    pub token: Option<String>,
    /// Names of tracker components whose tickets are meant for it.
    #[serde(default)]
    pub components: Vec<String>,
    /// What it is to the GitHub App, where it is reached through that.
    #[serde(default)]
    pub github: Option<ForgeRepo>,
}

impl Repository {
    /// Whether a ticket is an issue of this very repository.
    pub fn is_home_of(&self, key: &domain::name::TrackerKey) -> bool {
        key.as_str().split_once('#').is_some_and(|(repo, _)| repo == self.name.as_str())
    }

    /// Whether it may show more of a ticket than its key: not where more people can read it than the ticket.
    pub fn may_tell(&self, key: &domain::name::TrackerKey, policy: &Policy) -> bool {
        let open = self.github.as_ref().is_some_and(ForgeRepo::is_open);
        !open || policy.public_ticket_details || self.is_home_of(key)
    }
}

/// A repository as GitHub knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeRepo {
    /// The installation through which it is reached.
    pub installation: u64,
    /// Its number, which stays; learned from the first delivery or call about it.
    pub id: Option<u64>,
    /// What it is called there now; our own name for it is the one it was connected by.
    pub name: RepoName,
    /// Whether everybody can read it, as far as that was seen.
    #[serde(default)]
    pub public: bool,
    /// Whether it was ever seen; until then everybody may be able to.
    #[serde(default)]
    pub seen: bool,
    /// Whether tickets start from whatever branch the repository has as its default.
    #[serde(default)]
    pub follows: bool,
}

/// A member as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// The person.
    pub id: MemberId,
    /// The name people know the person by.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// Who the person is on GitHub, once seen there.
    #[serde(default)]
    pub github: Option<Person>,
    /// Whether a team of GitHub makes the person an approver.
    #[serde(default)]
    pub teams: bool,
    /// Who the person is elsewhere: provider and id.
    #[serde(default)]
    pub identities: Vec<(String, String)>,
}

impl MemberRow {
    /// A member of the settings, seen nowhere yet.
    pub fn new(id: MemberId, name: String, role: Role) -> Self {
        Self { id, name, role, github: None, teams: false, identities: Vec::new() }
    }

    /// Whether nobody named this member: who may push to a repository of GitHub.
    pub fn is_collaborator(&self) -> bool {
        self.github.as_ref().is_some_and(|person| self.id.as_str() == collaborator(person.id))
    }
}

impl ForgeRepo {
    /// Whether everybody may be able to read it.
    pub fn is_open(&self) -> bool {
        self.public || !self.seen
    }
}

/// What a member is called whom nobody named, by the number on GitHub.
pub fn collaborator(id: u64) -> String {
    format!("{}github{id}", MemberId::PREFIX)
}

/// What an installation or endpoint leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which secret is live; deliveries of other generations are refused.
    pub generation: u32,
    /// Whether it was removed.
    pub revoked: bool,
    /// Whether it is suspended, and may be active again.
    #[serde(default)]
    pub suspended: bool,
}

impl Connection {
    /// A connection that is live.
    pub fn live(tenant: TenantId, generation: u32) -> Self {
        Self { tenant, generation, revoked: false, suspended: false }
    }

    /// Whether anything may be done through it.
    pub fn is_live(&self) -> bool {
        !self.revoked && !self.suspended
    }
}

fn parsed<T: DeserializeOwned>(item: Item) -> Result<T, Failure> {
    serde_json::from_value(item.body)
        .map_err(|error| Failure::new(Fault::Bug, format!("a stored row cannot be read: {error}")))
}

async fn row<T: DeserializeOwned>(engine: &Engine, key: &Key) -> Result<Option<T>, Failure> {
    engine.table.get(key).await?.map(parsed).transpose()
}

async fn put(engine: &Engine, key: Key, body: serde_json::Value) -> Result<(), Failure> {
    let version = engine.table.get(&key).await?.map_or(1, |item| item.version + 1);
    let mut item = Item::new(key, body);
    item.version = version;
    Ok(engine.table.transact(vec![Write::Put { item, when: Vec::new() }]).await?)
}

/// Changes a row that is there, if it is still the one that was read; whoever was faster has the word, and who comes
/// second reads again.
async fn change<T: DeserializeOwned + Serialize + PartialEq>(
    engine: &Engine,
    key: Key,
    change: impl Fn(&mut T),
) -> Result<Option<T>, Failure> {
    let Some(item) = engine.table.get(&key).await? else {
        return Ok(None);
    };
    let seen = item.version;
    let before: T = parsed(item.clone())?;
    let mut after: T = parsed(item)?;
    change(&mut after);
    if after != before {
        let mut item = Item::new(key, json!(after));
        item.version = seen + 1;
        engine.table.transact(vec![Write::Put { item, when: vec![Condition::VersionIs(seen)] }]).await?;
    }
    Ok(Some(after))
}

/// Changes what is known of a member.
pub async fn change_member(
    engine: &Engine,
    ctx: &TenantCtx,
    id: &MemberId,
    how: impl Fn(&mut MemberRow),
) -> Result<Option<MemberRow>, Failure> {
    change(engine, Key::of(ctx, "", format!("MEMBER#{id}")), how).await
}

/// Changes what is known of a repository.
pub async fn change_repository(
    engine: &Engine,
    ctx: &TenantCtx,
    name: &RepoName,
    how: impl Fn(&mut Repository),
) -> Result<Option<Repository>, Failure> {
    change(engine, Key::of(ctx, "", format!("REPO#{name}")), how).await
}

/// The policy in force: the tenant's, tightened by what the ticket's repository says.
pub async fn policy_of(engine: &Engine, ctx: &TenantCtx, ticket: Option<&Ticket>) -> Result<Policy, Failure> {
    let policy = row(engine, &Key::of(ctx, "", "SETTINGS")).await?.unwrap_or_else(Policy::standard);
    match ticket.and_then(|ticket| ticket.overrides.as_ref()) {
        Some(change) => policy
            .tightened(change)
            .map_err(|error| Failure::new(Fault::Invalid, format!("`.prfactory.toml`: {error}"))),
        None => Ok(policy),
    }
}

/// Stores a tenant's policy.
pub async fn store_policy(engine: &Engine, ctx: &TenantCtx, policy: &Policy) -> Result<(), Failure> {
    put(engine, Key::of(ctx, "", "SETTINGS"), json!(policy)).await
}

/// Stores a member with the identities the person has elsewhere: `("github", "583231")`.
pub async fn store_member(
    engine: &Engine,
    ctx: &TenantCtx,
    member: &MemberRow,
    identities: &[(String, String)],
) -> Result<(), Failure> {
    let before = member_row(engine, ctx, &member.id).await?.map(|row| row.identities).unwrap_or_default();
    let row = MemberRow { identities: identities.to_vec(), ..member.clone() };
    put(engine, Key::of(ctx, "", format!("MEMBER#{}", member.id)), json!(row)).await?;
    // Whoever the member was elsewhere before is nobody now.
    for (provider, id) in before.iter().filter(|identity| !identities.contains(identity)) {
        let delete = Write::Delete { key: Key::identity(provider, id, ctx.tenant()), when: Vec::new() };
        engine.table.transact(vec![delete]).await?;
    }
    for (provider, id) in identities {
        put(engine, Key::identity(provider, id, ctx.tenant()), json!({ "member": member.id })).await?;
    }
    Ok(())
}

/// Finds a member's row.
pub async fn member_row(engine: &Engine, ctx: &TenantCtx, id: &MemberId) -> Result<Option<MemberRow>, Failure> {
    row(engine, &Key::of(ctx, "", format!("MEMBER#{id}"))).await
}

/// Removes every member that the caller does not name, but for those that nobody ever named.
pub async fn retain_members(engine: &Engine, ctx: &TenantCtx, keep: &[MemberId]) -> Result<(), Failure> {
    let page = engine.table.query(Index::Primary, &Key::partition_of(ctx, ""), "MEMBER#", 1_000, None).await?;
    for item in page.items {
        let key = item.key.clone();
        let member: MemberRow = parsed(item)?;
        if !keep.contains(&member.id) && !member.is_collaborator() {
            engine.table.transact(vec![Write::Delete { key, when: Vec::new() }]).await?;
        }
    }
    Ok(())
}

/// Finds a member by id.
pub async fn member(engine: &Engine, ctx: &TenantCtx, id: &MemberId, via: Via) -> Result<Option<Member>, Failure> {
    Ok(member_row(engine, ctx, id).await?.map(|m| Member {
        tenant: ctx.tenant().clone(),
        id: m.id,
        name: m.name,
        role: m.role,
        via,
    }))
}

/// Finds the member a provider knows under an id; strangers are nobody.
pub async fn member_of(
    engine: &Engine,
    ctx: &TenantCtx,
    provider: &str,
    id: &str,
    via: Via,
) -> Result<Option<Member>, Failure> {
    #[derive(Deserialize)]
    struct Identity {
        member: MemberId,
    }
    match row::<Identity>(engine, &Key::identity(provider, id, ctx.tenant())).await? {
        Some(identity) => member(engine, ctx, &identity.member, via).await,
        None => Ok(None),
    }
}

/// Stores a repository.
pub async fn store_repository(engine: &Engine, ctx: &TenantCtx, repository: &Repository) -> Result<(), Failure> {
    put(engine, Key::of(ctx, "", format!("REPO#{}", repository.name)), json!(repository)).await
}

/// Finds a connected repository.
pub async fn repository(engine: &Engine, ctx: &TenantCtx, name: &RepoName) -> Result<Option<Repository>, Failure> {
    row(engine, &Key::of(ctx, "", format!("REPO#{name}"))).await
}

/// Lists the connected repositories.
pub async fn repositories(engine: &Engine, ctx: &TenantCtx) -> Result<Vec<Repository>, Failure> {
    let all = engine.table.all(Index::Primary, &Key::partition_of(ctx, ""), "REPO#").await?;
    all.into_iter().map(parsed).collect()
}

/// Forgets a repository.
pub async fn remove_repository(engine: &Engine, ctx: &TenantCtx, name: &RepoName) -> Result<(), Failure> {
    let delete = Write::Delete { key: Key::of(ctx, "", format!("REPO#{name}")), when: Vec::new() };
    Ok(engine.table.transact(vec![delete]).await?)
}

/// Connects an installation of the GitHub App.
pub async fn store_installation(engine: &Engine, id: u64, connection: &Connection) -> Result<(), Failure> {
    put(engine, Key::installation(id), json!(connection)).await
}

/// Connects a webhook endpoint.
pub async fn store_endpoint(engine: &Engine, id: &EndpointId, connection: &Connection) -> Result<(), Failure> {
    put(engine, Key::endpoint(id), json!(connection)).await
}

/// Finds the connection a webhook endpoint belongs to.
pub async fn endpoint(engine: &Engine, id: &EndpointId) -> Result<Option<Connection>, Failure> {
    row(engine, &Key::endpoint(id)).await
}

/// Finds the connection an installation of the GitHub App belongs to.
pub async fn installation(engine: &Engine, id: u64) -> Result<Option<Connection>, Failure> {
    row(engine, &Key::installation(id)).await
}

/// The name a ticket remembers an installation of the GitHub App by.
pub fn installation_name(id: u64) -> String {
    format!("installation:{id}")
}

/// The number of an installation by that name.
pub fn installation_number(connection: &str) -> Option<u64> {
    connection.strip_prefix("installation:").and_then(|id| id.parse().ok())
}

/// What must still hold when something is written through a connection; `None` when it was removed.
pub async fn connected(engine: &Engine, connection: &str) -> Result<Option<Write>, Failure> {
    let id =
        installation_number(connection).ok_or_else(|| Failure::new(Fault::Bug, "a connection of no known kind"))?;
    let key = Key::installation(id);
    let Some(item) = engine.table.get(&key).await? else {
        return Ok(None);
    };
    let when = vec![Condition::VersionIs(item.version)];
    let live = parsed::<Connection>(item)?.is_live();
    Ok(live.then_some(Write::Check { key, when }))
}

/// What must still hold when something is done on a member's word; `None` when the member's role is less by now.
pub async fn still(engine: &Engine, ctx: &TenantCtx, member: &MemberId, least: Role) -> Result<Option<Write>, Failure> {
    let key = Key::of(ctx, "", format!("MEMBER#{member}"));
    let Some(item) = engine.table.get(&key).await? else {
        return Ok(None);
    };
    let when = vec![Condition::VersionIs(item.version)];
    let row = parsed::<MemberRow>(item)?;
    let role = if row.teams { row.role.max(Role::Approver) } else { row.role };
    Ok((role >= least).then_some(Write::Check { key, when }))
}

/// The tenant an installation belongs or belonged to, for the delivery that says it was removed.
pub async fn owner_of_installation(engine: &Engine, id: u64) -> Result<Option<TenantCtx>, Failure> {
    Ok(installation(engine, id).await?.map(|connection| TenantCtx::proven(connection.tenant)))
}

/// The tenant of a verified GitHub delivery, by the installation its signed body names.
pub async fn tenant_of_installation(engine: &Engine, id: u64) -> Result<Option<TenantCtx>, Failure> {
    let connection: Option<Connection> = row(engine, &Key::installation(id)).await?;
    Ok(connection.filter(Connection::is_live).map(|c| TenantCtx::proven(c.tenant)))
}

/// The tenant of a verified delivery to an endpoint, if the secret it was verified with is still live.
pub async fn tenant_of_endpoint(
    engine: &Engine,
    id: &EndpointId,
    generation: u32,
) -> Result<Option<TenantCtx>, Failure> {
    let connection: Option<Connection> = row(engine, &Key::endpoint(id)).await?;
    let live = connection.filter(|c| !c.revoked && c.generation == generation);
    Ok(live.map(|c| TenantCtx::proven(c.tenant)))
}
