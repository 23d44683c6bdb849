//! Speaks to the system of a data folder for one member: the same sealed message any surface sends.

use anyhow::{Context as _, anyhow, bail};
use domain::id::{MemberId, TenantId};
use domain::name::TrackerKey;
use domain::principal::Role;
use domain::ticket::Ticket;
use engine::directory;
use engine::message::{DeliveryMessage, INTAKE, Source};
use engine::tenancy::TenantCtx;
use intake::{Answer, CliRequest, CliWish};
use local::Settings;

use crate::system::System;

/// A member at the command line.
pub struct Client {
    system: System,
    ctx: TenantCtx,
    member: MemberId,
}

impl Client {
    /// Finds tenant and member; each must be named when there are several.
    pub fn new(
        system: System,
        settings: &Settings,
        tenant: Option<&str>,
        member: Option<&str>,
    ) -> anyhow::Result<Self> {
        let found: Vec<_> = settings.tenant.iter().filter(|t| tenant.is_none_or(|id| t.id.as_str() == id)).collect();
        let tenant = match found.as_slice() {
            [one] => *one,
            [] => bail!("there is no such tenant in prfactory.toml"),
            _ => bail!("prfactory.toml has several tenants; name one with --tenant"),
        };
        let is = |id: &MemberId, name: &str| member.is_none_or(|m| id.as_str() == m || name.eq_ignore_ascii_case(m));
        let members: Vec<_> = tenant.member.iter().filter(|m| is(&m.id, &m.name)).collect();
        let member = match members.as_slice() {
            [one] => one.id.clone(),
            [] => bail!("there is no such member in prfactory.toml"),
            _ => bail!("prfactory.toml has several members; say who you are with --as"),
        };
        let ctx = system.engine.sealer.operator(&tenant.id)?;
        Ok(Self { system, ctx, member })
    }

    /// The tenant this client acts for.
    pub fn ctx(&self) -> &TenantCtx {
        &self.ctx
    }

    /// The system this client speaks to.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// The member this client speaks for.
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// The tenant's id.
    pub fn tenant(&self) -> &TenantId {
        self.ctx.tenant()
    }

    /// Fails unless the member is an admin of the tenant.
    pub async fn must_be_admin(&self, what: &str) -> anyhow::Result<()> {
        let row = directory::member_row(&self.system.engine, &self.ctx, &self.member).await?;
        if row.is_none_or(|row| row.role < Role::Admin) {
            bail!("{what} needs the role admin; say who you are with --as");
        }
        Ok(())
    }

    /// Gives a request to intake and waits for what becomes of it.
    pub async fn ask(&self, key: &TrackerKey, wish: CliWish) -> anyhow::Result<Answer> {
        let engine = &self.system.engine;
        let request = CliRequest { id: engine.ids.next(), key: key.clone(), wish };
        let body = webhooks::pack(&serde_json::to_vec(&request)?)?;
        let message = DeliveryMessage {
            source: Source::Cli { member: self.member.clone() },
            event: "cli".to_owned(),
            delivery: request.id.clone(),
            body,
        };
        let sealed = engine.sealer.seal(INTAKE, Some(&self.ctx), &message)?;
        Ok(Box::pin(intake::accept(&self.system.intake(), &sealed)).await?)
    }

    /// Says a command on a ticket.
    pub async fn say(&self, key: &TrackerKey, command: &str) -> anyhow::Result<Answer> {
        self.ask(key, CliWish::Say { command: command.to_owned() }).await
    }

    /// Loads the latest workflow of a ticket.
    pub async fn find(&self, key: &TrackerKey) -> anyhow::Result<Option<Ticket>> {
        Ok(engine::ticket::latest(&self.system.engine, &self.ctx, key).await?.map(|row| row.ticket))
    }
}

/// Reads a ticket's key.
pub fn key(text: &str) -> anyhow::Result<TrackerKey> {
    TrackerKey::parse(text).map_err(|error| anyhow!("{error}")).context("give the key of a ticket, such as KAN-22")
}
