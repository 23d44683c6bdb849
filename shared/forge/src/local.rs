//! Pull requests of plain git repositories, kept in the table.

use async_trait::async_trait;
use domain::error::{Failure, Fault};
use domain::name::{BranchName, CommitSha};
use domain::ticket::{PullRequestRef, Target};
use engine::Engine;
use engine::key::Key;
use engine::port::{
    Capabilities, Condition, Forge, Item, Opened, Permit, PullRequestState, PullRequestText, TableError, Write,
};
use engine::tenancy::TenantCtx;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The forge of one machine.
#[derive(Clone)]
pub struct LocalForge {
    engine: Engine,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pull {
    number: u64,
    branch: BranchName,
    base: BranchName,
    head: CommitSha,
    state: PullRequestState,
    text: PullRequestText,
}

impl LocalForge {
    /// Keeps pull requests in the engine's table.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn load(&self, key: &Key) -> Result<Option<(Pull, u64)>, Failure> {
        let Some(item) = self.engine.table.get(key).await? else {
            return Ok(None);
        };
        let pull = serde_json::from_value(item.body)
            .map_err(|_| Failure::new(Fault::Bug, "a stored pull request cannot be read"))?;
        Ok(Some((pull, item.version)))
    }

    /// Changes a pull request of the target's branch, keeping out writers that saw an older one.
    async fn change(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        change: &(dyn Fn(&mut Pull) + Send + Sync),
    ) -> Result<Pull, Failure> {
        let key = place(ctx, target);
        let Some((mut pull, version)) = self.load(&key).await? else {
            return Err(Failure::new(Fault::Invalid, "there is no such pull request"));
        };
        change(&mut pull);
        let mut item = Item::new(key, json!(pull));
        item.version = version + 1;
        let put = Write::Put { item, when: vec![Condition::VersionIs(version)] };
        self.engine.table.transact(vec![put]).await?;
        Ok(pull)
    }
}

fn place(ctx: &TenantCtx, target: &Target) -> Key {
    Key::of(ctx, &format!("LOCAL#{}", target.repo), format!("BRANCH#{}", target.branch))
}

fn opened(target: &Target, pull: Pull) -> Opened {
    let url = format!("local://{}/pull/{}", target.repo, pull.number);
    Opened {
        reference: PullRequestRef { number: pull.number, url, head: pull.head },
        state: pull.state,
        text: pull.text,
    }
}

#[async_trait]
impl Forge for LocalForge {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            drafts: true,
            reactions: false,
            resolvable_threads: false,
            check_runs: false,
            api_commits: false,
        }
    }

    async fn find(&self, ctx: &TenantCtx, target: &Target) -> Result<Option<Opened>, Failure> {
        Ok(self.load(&place(ctx, target)).await?.map(|(pull, _)| opened(target, pull)))
    }

    async fn open(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure> {
        let counter = Key::of(ctx, &format!("LOCAL#{}", target.repo), "NUMBER");
        for _ in 0..20 {
            if let Some(found) = self.find(ctx, target).await? {
                return Ok(found);
            }
            let last = self.engine.table.get(&counter).await?;
            let last = last.and_then(|item| item.body.get("last").and_then(Value::as_i64)).unwrap_or(0);
            let number = u64::try_from(last + 1).unwrap_or(1);
            let pull = Pull {
                number,
                branch: target.branch.clone(),
                base: target.base.clone(),
                head: head.clone(),
                state: PullRequestState::Open,
                text: text.clone(),
            };
            let now = self.engine.clock.now();
            let item = Item::new(place(ctx, target), json!(pull));
            let writes = vec![
                Write::Put { item, when: vec![Condition::NotExists { now }] },
                // The sum may only become the number that was just taken; another opener makes this fail.
                Write::Add { key: counter.clone(), field: "last", amount: 1, at_most: Some(last + 1) },
            ];
            permit.holds()?;
            match self.engine.table.transact(writes).await {
                Ok(()) => return Ok(opened(target, pull)),
                Err(TableError::Condition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(Fault::Conflict, "the pull request could not be numbered"))
    }

    async fn update(
        &self,
        ctx: &TenantCtx,
        target: &Target,
        _number: u64,
        head: &CommitSha,
        text: &PullRequestText,
        permit: &Permit,
    ) -> Result<Opened, Failure> {
        permit.holds()?;
        let (head, text) = (head.clone(), text.clone());
        let renew = move |pull: &mut Pull| {
            pull.head = head.clone();
            pull.text = text.clone();
        };
        Ok(opened(target, self.change(ctx, target, &renew).await?))
    }

    async fn close(&self, ctx: &TenantCtx, target: &Target, _number: u64) -> Result<(), Failure> {
        let end = |pull: &mut Pull| {
            if pull.state == PullRequestState::Open {
                pull.state = PullRequestState::Closed;
            }
        };
        self.change(ctx, target, &end).await.map(|_| ())
    }
}
