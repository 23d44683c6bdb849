//! What an operator does to a stack on AWS, through the same ports as its functions.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use aws::{Access, DynamoTable, Kept, KmsSigner, KmsVault, ManagedSecrets, S3Blobs, SqsQueue};
use domain::id::{EndpointId, MemberId, TenantId};
use domain::policy::Policy;
use domain::principal::Role;
use engine::Engine;
use engine::directory::{self, Connection, MemberRow};
use engine::port::{Clock, Secret, Secrets as _};
use engine::seal::Sealer;
use engine::tenancy::TenantCtx;
use forge::Claims;
use local::{Settings, SystemClock, SystemIds, seed};
use serde_json::{Value, json};
use tracker::Jira;
use webhooks::endpoint_secret;

use crate::Exit;
use crate::args::{Admin, AdminTask, EndpointTask, InstallationTask, MemberTask, TenantTask};
use crate::demo::random_hex;
use crate::output::Output;
use crate::{github, jira};

/// A stack, opened with the operator's own credentials.
struct Stack {
    engine: Engine,
    vault: Arc<KmsVault>,
    secrets: ManagedSecrets,
    outputs: BTreeMap<String, String>,
}

/// Names of the secrets an operator reads, and the output that says where each is derived from.
const SECRETS: [(&str, &str); 3] =
    [("sealing-key", "SealingSecretArn"), ("github-webhook", "GithubSecretArn"), ("endpoint-master", "JiraSecretArn")];

/// Carries out one task.
pub(crate) async fn run(args: &Admin, out: Output) -> anyhow::Result<Exit> {
    let stack = Stack::open(&args.stack).await?;
    match &args.task {
        AdminTask::Apply { file } => stack.apply(file, out).await?,
        AdminTask::Tenant(TenantTask::Create { id, installation }) => stack.tenant(id, *installation, out).await?,
        AdminTask::Member(task) => stack.member(task, out).await?,
        AdminTask::Endpoint(EndpointTask::Create { tenant }) => stack.endpoint(tenant, out).await?,
        AdminTask::Endpoint(EndpointTask::Rotate { id }) => stack.rotate(id, out).await?,
        AdminTask::Installation(InstallationTask::Revoke { number }) => stack.revoke(*number, out).await?,
        AdminTask::Installation(InstallationTask::Claim { tenant, client_id, installation, api, web }) => {
            let claims = Claims::new(stack.engine.clone(), api, web, client_id)?;
            return github::claim(&stack.engine, &stack.ctx(tenant)?, &claims, *installation, out).await;
        }
        AdminTask::AppKey { file } => import(file, out).await?,
        AdminTask::Jira { tenant, endpoint, task } => {
            let endpoint = match endpoint {
                Some(id) => Some(stack.delivers_to(tenant, id).await?),
                None => None,
            };
            let jira = Jira::new(stack.engine.clone(), Arc::clone(&stack.vault) as _)?;
            return jira::carry_out(&jira, &stack.ctx(tenant)?, task, endpoint, out).await;
        }
        AdminTask::Webhook { endpoint: None } => {
            let secret = stack.secret("github-webhook").await?;
            show(out, stack.output("GithubWebhookUrl")?, &secret)?;
        }
        AdminTask::Webhook { endpoint: Some(id) } => {
            let (id, connection) = stack.connected(id).await?;
            stack.say(&id, connection.generation, out).await?;
        }
    }
    Ok(Exit::Done)
}

fn show(out: Output, url: &str, secret: &Secret) -> anyhow::Result<()> {
    let secret = secret.expose_text().context("the secret is no text")?;
    out.either(&format!("{url}\n  secret: {secret}"), &json!({ "url": url, "secret": secret }));
    Ok(())
}

/// Puts the App's private key into KMS.
async fn import(file: &Path, out: Output) -> anyhow::Result<()> {
    let pem = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let imported = KmsSigner::import(&access()?, &Secret::new(pem)).await;
    let arn = imported.with_context(|| format!("{} is not in KMS", file.display()))?;
    let next = "deploy the template with it as GithubAppKeyArn, and delete the file";
    out.either(&format!("{arn}\n  {next}"), &json!({ "arn": arn }));
    Ok(())
}

/// Reads the outputs of the one stack that `describe-stacks` speaks of.
fn outputs(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let described: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    let shape = "it is not what `aws cloudformation describe-stacks --stack-name NAME --output json` prints";
    let all = described.pointer("/Stacks/0/Outputs").and_then(Value::as_array).context(shape)?;
    let text = |output: &Value, key: &str| Some(output.get(key)?.as_str()?.to_owned());
    Ok(all.iter().filter_map(|output| Some((text(output, "OutputKey")?, text(output, "OutputValue")?))).collect())
}

/// The operator's own credentials, as `aws configure export-credentials --format env` prints them.
fn access() -> anyhow::Result<Access> {
    #[expect(clippy::disallowed_methods, reason = "AWS's own variables are how its tools hand credentials on")]
    let read = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let missing =
        |name: &str| format!("{name} is not set; `eval \"$(aws configure export-credentials --format env)\"`");
    let secret = |name: &str| read(name).map(|text| Secret::new(text.into_bytes()));
    let region = read("AWS_REGION").or_else(|| read("AWS_DEFAULT_REGION")).context("AWS_REGION is not set")?;
    let key = read("AWS_ACCESS_KEY_ID").with_context(|| missing("AWS_ACCESS_KEY_ID"))?;
    let hidden = secret("AWS_SECRET_ACCESS_KEY").with_context(|| missing("AWS_SECRET_ACCESS_KEY"))?;
    Ok(Access::new(region, read("AWS_ENDPOINT_URL"), (&key, &hidden), secret("AWS_SESSION_TOKEN").as_ref()))
}

impl Stack {
    async fn open(file: &Path) -> anyhow::Result<Self> {
        let (outputs, access) = (outputs(file)?, access()?);
        let output = |name: &str| {
            outputs.get(name).cloned().with_context(|| format!("{} says nothing of {name}", file.display()))
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut kept = Vec::new();
        for (name, from) in SECRETS {
            kept.push((name, Kept::Derived(output(from)?)));
        }
        let secrets = ManagedSecrets::new(&access, Arc::clone(&clock), kept);
        let sealer = Sealer::new(secrets.load("sealing-key").await?);
        let engine = Engine {
            table: Arc::new(DynamoTable::new(&access, output("TableName")?, None)),
            queue: Arc::new(SqsQueue::new(&access, output("QueuePrefix")?)),
            blobs: Arc::new(S3Blobs::new(&access, output("BucketName")?, None)),
            clock: Arc::clone(&clock),
            ids: Arc::new(SystemIds),
            sealer: Arc::new(sealer),
            slots: None,
            model: None,
        };
        let vault = Arc::new(KmsVault::new(&access, clock, output("VaultKeyArn")?));
        Ok(Self { engine, vault, secrets, outputs })
    }

    fn output(&self, name: &str) -> anyhow::Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack says nothing of {name}"))
    }

    async fn secret(&self, name: &str) -> anyhow::Result<Secret> {
        self.secrets.load(name).await?.into_iter().next().with_context(|| format!("the stack has no secret {name}"))
    }

    /// Proof to act for a tenant.
    fn ctx(&self, tenant: &str) -> anyhow::Result<TenantCtx> {
        Ok(self.engine.sealer.operator(&TenantId::parse(tenant)?)?)
    }

    async fn apply(&self, file: &Path, out: Output) -> anyhow::Result<()> {
        let settings = Settings::read(file)?;
        seed(&self.engine, self.vault.as_ref(), &settings).await?;
        let count = settings.tenant.len();
        out.either(&format!("{count} tenants are as {} says", file.display()), &json!({ "tenants": count }));
        Ok(())
    }

    async fn tenant(&self, id: &str, installation: Option<u64>, out: Output) -> anyhow::Result<()> {
        let ctx = self.ctx(id)?;
        directory::store_policy(&self.engine, &ctx, &Policy::standard()).await?;
        if let Some(number) = installation {
            directory::claim(&self.engine, &ctx, number).await?;
        }
        out.either(&format!("{id} is there"), &json!({ "tenant": id }));
        Ok(())
    }

    async fn member(
        &self,
        MemberTask::Create { id, tenant, name, role, github, jira }: &MemberTask,
        out: Output,
    ) -> anyhow::Result<()> {
        let role: Role = serde_json::from_value(json!(role))
            .with_context(|| format!("{role:?} is no role: reader, writer, approver or admin"))?;
        let member = MemberRow::new(MemberId::parse(id)?, name.clone(), role);
        let github = github.map(|number| ("github".to_owned(), number.to_string()));
        let jira = jira.clone().map(|account| ("jira".to_owned(), account));
        let identities: Vec<_> = github.into_iter().chain(jira).collect();
        directory::store_member(&self.engine, &self.ctx(tenant)?, &member, &identities).await?;
        out.either(&format!("{id} of {tenant} is there"), &json!({ "member": id, "tenant": tenant }));
        Ok(())
    }

    async fn endpoint(&self, tenant: &str, out: Output) -> anyhow::Result<()> {
        let id = EndpointId::parse(&format!("{}{}", EndpointId::PREFIX, random_hex()?))?;
        let connection = Connection::live(self.ctx(tenant)?.tenant().clone(), 1);
        self.live(&id, &connection, out).await
    }

    async fn rotate(&self, id: &str, out: Output) -> anyhow::Result<()> {
        let (id, mut connection) = self.connected(id).await?;
        connection.generation += 1;
        self.live(&id, &connection, out).await
    }

    async fn revoke(&self, number: u64, out: Output) -> anyhow::Result<()> {
        let known = directory::installation(&self.engine, number).await?;
        let mut connection = known.with_context(|| format!("there is no installation {number}"))?;
        connection.generation += u32::from(!connection.revoked);
        connection.revoked = true;
        directory::store_installation(&self.engine, number, &connection).await?;
        out.either(&format!("installation {number} is revoked"), &json!({ "installation": number, "revoked": true }));
        Ok(())
    }

    /// An endpoint that is there.
    async fn connected(&self, id: &str) -> anyhow::Result<(EndpointId, Connection)> {
        let id = EndpointId::parse(id)?;
        let known = directory::endpoint(&self.engine, &id).await?;
        let connection = known.with_context(|| format!("there is no endpoint {id}"))?;
        Ok((id, connection))
    }

    /// Stores an endpoint and says what Jira has to be told.
    async fn live(&self, id: &EndpointId, connection: &Connection, out: Output) -> anyhow::Result<()> {
        directory::store_endpoint(&self.engine, id, connection).await?;
        self.say(id, connection.generation, out).await
    }

    /// Says address and secret of an endpoint.
    async fn say(&self, id: &EndpointId, generation: u32, out: Output) -> anyhow::Result<()> {
        let (address, secret) = self.address(id, generation).await?;
        show(out, &address, &secret)
    }

    async fn address(&self, id: &EndpointId, generation: u32) -> anyhow::Result<jira::Endpoint> {
        let master = self.secret("endpoint-master").await?;
        let secret = endpoint_secret(&master, id, generation).context("the master secret is blank")?;
        Ok((format!("{}{id}/{generation}", self.output("JiraWebhookUrl")?), secret))
    }

    /// An endpoint of a tenant, as its site of Jira has to know it.
    async fn delivers_to(&self, tenant: &str, id: &str) -> anyhow::Result<jira::Endpoint> {
        let (id, connection) = self.connected(id).await?;
        if connection.tenant.as_str() != tenant || connection.revoked {
            bail!("endpoint {id} was removed, or belongs to another tenant");
        }
        self.address(&id, connection.generation).await
    }
}
