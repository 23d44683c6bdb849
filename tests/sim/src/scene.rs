//! What a seed makes of the world before anything happens: tenants, people, policies, rates.

use std::sync::Arc;

use domain::error::Failure;
use domain::id::{EndpointId, MemberId, TenantId};
use domain::money::Usd;
use domain::name::{BranchName, RepoName, TrackerKey};
use domain::path::RepoPath;
use domain::policy::Policy;
use domain::principal::Role;
use engine::directory::{self, Connection, ForgeRepo, MemberRow, Repository};
use engine::slot::SLOTS;
use engine::tenancy::TenantCtx;

use crate::clockwork::{MINUTE, Micros, SECOND};
use crate::fault::Rates;
use crate::port::Mood;
use crate::world::World;

/// A tenant of the simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firm {
    /// Its id.
    pub id: TenantId,
    /// Its webhook endpoint.
    pub endpoint: String,
    /// Its installation.
    pub installation: u64,
    /// Its place in the list, from which its people's ids are made.
    pub number: u64,
}

/// A person of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The member's id.
    pub id: &'static str,
    /// What the person may do at the start.
    pub role: Role,
    number: u64,
}

/// The number of the one repository; each tenant has one of its own under it.
pub const REPO_ID: u64 = 77;

/// Everybody there is, in each tenant; the last is no member.
pub const PEOPLE: [Person; 6] = [
    Person { id: "mem_ada", role: Role::Admin, number: 1 },
    Person { id: "mem_apo", role: Role::Approver, number: 2 },
    Person { id: "mem_bea", role: Role::Approver, number: 3 },
    Person { id: "mem_wil", role: Role::Writer, number: 4 },
    Person { id: "mem_rea", role: Role::Reader, number: 5 },
    Person { id: "nobody", role: Role::Reader, number: 6 },
];

/// Whoever acts on the forge without being a member.
pub const LOGIN: &str = "somebody";

/// The repository each tenant has, by the same name on purpose.
pub const REPO: &str = "octo/shop";

impl Person {
    /// The id GitHub knows the person by.
    pub fn github(&self, firm: &Firm) -> u64 {
        firm.number * 1_000 + self.number
    }

    /// The id Jira knows the person by.
    pub fn jira(&self, firm: &Firm) -> String {
        format!("712020:{}-{}", firm.number, self.number)
    }
}

/// The tenant with a number.
pub fn firm(number: u64) -> Firm {
    let id = TenantId::parse(&format!("ten_f{number}"));
    Firm {
        id: id.unwrap_or_else(|error| unreachable!("{error}")),
        endpoint: format!("ep_{number:026}"),
        installation: 100 + number,
        number,
    }
}

/// The tenant an endpoint belongs to.
pub fn tenant_of_endpoint(endpoint: &str) -> Option<TenantId> {
    let number: u64 = endpoint.strip_prefix("ep_")?.parse().ok()?;
    Some(firm(number).id)
}

/// The tenant an installation belongs to.
pub fn tenant_of_installation(installation: u64) -> Option<TenantId> {
    installation.checked_sub(100).map(|number| firm(number).id)
}

/// One ticket people will work on.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Whose.
    pub firm: Firm,
    /// Its key.
    pub key: TrackerKey,
    /// Whether it lives on GitHub.
    pub github: bool,
    /// Its number there.
    pub number: u64,
}

/// What a seed makes of the world.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The tenants.
    pub firms: Vec<(Firm, Policy)>,
    /// The tickets.
    pub errands: Vec<Errand>,
    /// How much goes wrong.
    pub rates: Rates,
    /// For how long.
    pub chaos: Micros,
    /// How the model is minded.
    pub mood: Mood,
    /// What a call costs in micro-dollars.
    pub cost: i64,
    /// How far clocks may be off.
    pub skew: Micros,
    /// How many messages of a queue are handled at once.
    pub hands: usize,
    /// How many turns of one tenant run at once.
    pub slots: usize,
    /// How wild people are, in a thousand.
    pub wild: u32,
}

/// One ticket of a tenant.
pub fn errand(firm: &Firm, number: u64, github: bool) -> Errand {
    let key = if github { format!("{REPO}#{number}") } else { format!("SHOP-{number}") };
    let key = TrackerKey::parse(&key).unwrap_or_else(|error| unreachable!("{error}"));
    Errand { firm: firm.clone(), key, github, number }
}

impl Scene {
    /// A single ticket of a single tenant, and nobody who does anything unexpected.
    pub fn plain() -> Self {
        let firm = firm(1);
        Self {
            errands: vec![errand(&firm, 1, false)],
            firms: vec![(firm, Policy::standard())],
            rates: Rates::default(),
            chaos: 0,
            mood: Mood::Willing,
            cost: 20_000,
            skew: 0,
            hands: 1_000,
            slots: SLOTS,
            wild: 0,
        }
    }

    /// The world of a seed.
    pub fn of(seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed ^ 0x5ce0_e5ee_d000_0001);
        let count = if chance.u32(..10) < 4 { 2 } else { 1 };
        let poor = chance.u32(..100) < 20;
        let firms: Vec<(Firm, Policy)> = (1..=count).map(|n| (firm(n), policy(&mut chance, poor))).collect();
        let tickets = [1, 1, 2, 3].get(chance.usize(..4)).copied().unwrap_or(1);
        let tickets = if poor { tickets + 2 } else { tickets };
        let errands = (1..=tickets)
            .map(|number| {
                let (firm, _) = &firms[chance.usize(..firms.len())];
                errand(firm, number, chance.bool())
            })
            .collect();
        let mood = match chance.u32(..10) {
            0..=5 => Mood::Willing,
            6..=7 => Mood::Broken,
            _ => Mood::Hostile,
        };
        Self {
            firms,
            errands,
            rates: Rates::of(&mut chance),
            chaos: chance.i64(20 * MINUTE..100 * MINUTE),
            mood,
            cost: if poor { 150_000 } else { 20_000 },
            skew: if chance.bool() { 5 * SECOND } else { 0 },
            hands: 1_000,
            // Few enough that tickets of one tenant wait for each other.
            slots: [1, 2, SLOTS].get(chance.usize(..3)).copied().unwrap_or(SLOTS),
            wild: [0, 50, 150, 300].get(chance.usize(..4)).copied().unwrap_or(0),
        }
    }
}

fn policy(chance: &mut fastrand::Rng, poor: bool) -> Policy {
    let mut policy = Policy::standard();
    policy.required_approvals = if chance.u32(..10) < 3 { 2 } else { 1 };
    policy.skip_refinement_approval = chance.u32(..10) < 3;
    policy.skip_plan_approval = chance.u32(..10) < 1;
    policy.implement_on_approval = chance.u32(..10) < 8;
    policy.separate_requester = chance.u32(..10) < 2;
    policy.autofix_checks = chance.bool();
    policy.max_review_rounds = chance.u32(1..4);
    policy.max_plan_revisions = chance.u32(1..4);
    if poor {
        policy.budget_usd = Usd::from_micros(chance.i64(400_000..2_000_000));
        policy.monthly_budget_usd = Usd::from_micros(chance.i64(800_000..4_000_000));
    }
    policy
}

/// Writes tenants, people and repositories down, as an operator would.
pub async fn settle(world: Arc<World>, scene: Scene) {
    let engine = world.engine(0);
    for (firm, policy) in &scene.firms {
        let Ok(ctx) = world.sealer.operator(&firm.id) else {
            return;
        };
        let files = [
            ("README.md", "# shop\nvalue = 1\n"),
            ("src/a.txt", "value = 2\n"),
            ("src/b.txt", "value = 3\n"),
            ("src/c.txt", "value = 4\n"),
        ];
        world.source.commit(&firm.id, REPO, "main", |tree| {
            for (path, text) in files {
                if let Ok(path) = RepoPath::parse(path) {
                    tree.insert(path, text.to_owned());
                }
            }
        });
        if let Err(failure) = tenant(&engine, &ctx, firm, policy).await {
            world.watch.breaks(5, format!("the world cannot be set up: {failure}"));
        }
    }
}

async fn tenant(engine: &engine::Engine, ctx: &TenantCtx, firm: &Firm, policy: &Policy) -> Result<(), Failure> {
    let bug = |error: String| Failure::new(domain::error::Fault::Bug, error);
    directory::store_policy(engine, ctx, policy).await?;
    for person in PEOPLE.iter().filter(|person| person.id != "nobody") {
        let id = MemberId::parse(person.id).map_err(|error| bug(error.to_string()))?;
        let row = MemberRow::new(id, person.id.to_owned(), person.role);
        let identities =
            [("github".to_owned(), person.github(firm).to_string()), ("jira".to_owned(), person.jira(firm))];
        directory::store_member(engine, ctx, &row, &identities).await?;
    }
    let repository = Repository {
        name: RepoName::parse(REPO).map_err(|error| bug(error.to_string()))?,
        location: "https://forge.example/octo/shop.git".to_owned(),
        base: BranchName::parse("main").map_err(|error| bug(error.to_string()))?,
        projects: vec!["SHOP".to_owned()],
        token: None,
        components: Vec::new(),
        github: Some(ForgeRepo {
            installation: firm.installation,
            id: None,
            name: RepoName::parse(REPO).map_err(|error| bug(error.to_string()))?,
            public: false,
            seen: true,
            follows: false,
        }),
    };
    directory::store_repository(engine, ctx, &repository).await?;
    let connection = Connection::live(firm.id.clone(), 1);
    directory::store_installation(engine, firm.installation, &connection).await?;
    let endpoint = EndpointId::parse(&firm.endpoint).map_err(|error| bug(error.to_string()))?;
    directory::store_endpoint(engine, &endpoint, &connection).await
}
