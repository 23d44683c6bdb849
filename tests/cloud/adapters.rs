//! Each adapter of a port on AWS's interface, against the port's suite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws::{Access, DynamoTable, Kept, KmsSigner, KmsVault, ManagedSecrets, S3Blobs, SqsQueue, TenantSessions};
use clock::SystemClock;
use engine::port::{Clock as _, Secret, Signer as _};
use forge::KeySigner;
use serde_json::{Value, json};
use stories::cloud::{access, python};
use stories::contract;
use tempfile::TempDir;
use testkit::github::GithubHost;
use xtask::emulator::{ACCOUNT, Emulator, Wish};

/// An emulator with nothing in it.
struct Empty {
    emulator: Emulator,
    access: Access,
    _dir: TempDir,
}

fn empty() -> Empty {
    let dir = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(&python(), dir.path(), Wish::default()).unwrap();
    let access = access(&emulator);
    Empty { emulator, access, _dir: dir }
}

impl Empty {
    fn aws(&self, arguments: &[&str]) -> Value {
        self.emulator.aws(arguments).unwrap()
    }

    /// A table as the template has it.
    fn table(&self) {
        let attribute = |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
        let schema = |hash: &str, range: &str| json!([{ "AttributeName": hash, "KeyType": "HASH" }, { "AttributeName": range, "KeyType": "RANGE" }]);
        let index = |name: &str, hash: &str, range: &str| json!({ "IndexName": name, "KeySchema": schema(hash, range), "Projection": { "ProjectionType": "KEYS_ONLY" } });
        let wish = json!({
            "TableName": "contract", "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema("pk", "sk"),
            "AttributeDefinitions": [
                attribute("pk", "S"), attribute("sk", "S"), attribute("lpk", "S"), attribute("lsk", "S"),
                attribute("dpk", "S"), attribute("due", "N")],
            "GlobalSecondaryIndexes": [index("listing", "lpk", "lsk"), index("due", "dpk", "due")] });
        self.aws(&["dynamodb", "create-table", "--cli-input-json", &wish.to_string()]);
    }

    fn queue(&self, name: &str, dead: Option<&str>) {
        let redrive = dead.map(|dead| {
            let arn = format!("arn:aws:sqs:{}:{ACCOUNT}:{dead}", xtask::emulator::REGION);
            json!({ "deadLetterTargetArn": arn, "maxReceiveCount": "5" }).to_string()
        });
        let attributes = redrive.map_or_else(|| json!({}), |redrive| json!({ "RedrivePolicy": redrive }));
        self.aws(&["sqs", "create-queue", "--queue-name", name, "--attributes", &attributes.to_string()]);
    }
}

/// The world's own time.
struct Real;

#[async_trait]
impl contract::Pace for Real {
    fn hidden(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn pass(&self, time: Duration) {
        SystemClock.sleep(time).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_on_dynamodb_keeps_the_contract() {
    let aws = empty();
    aws.table();
    let table = DynamoTable::new(&aws.access, "contract", None);
    contract::table(Arc::new(table), &SystemClock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_keeps_it_under_tenants_own_identities() {
    let aws = empty();
    aws.table();
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") },
        "Action": ["sts:AssumeRole", "sts:TagSession"] }] });
    let role =
        aws.aws(&["iam", "create-role", "--role-name", "tenant", "--assume-role-policy-document", &trust.to_string()]);
    let arn = role.pointer("/Role/Arn").and_then(Value::as_str).unwrap();
    let sessions = TenantSessions::new(&aws.access, arn);
    let table = DynamoTable::new(&aws.access, "contract", Some(sessions));
    contract::table(Arc::new(table), &SystemClock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queues_on_sqs_keep_the_contract() {
    let aws = empty();
    for name in ["plan", "review"] {
        aws.queue(&format!("contract-{name}-dead"), None);
        aws.queue(&format!("contract-{name}"), Some(&format!("contract-{name}-dead")));
    }
    let prefix = format!("{}/{ACCOUNT}/contract-", aws.emulator.endpoint());
    contract::queue(Arc::new(SqsQueue::new(&aws.access, prefix)), &Real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blobs_on_s3_keep_the_contract() {
    let aws = empty();
    aws.aws(&["s3", "mb", "s3://contract"]);
    contract::blobs(Arc::new(S3Blobs::new(&aws.access, "contract", None))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_and_the_vault_keep_their_contracts() {
    let aws = empty();
    let stored =
        aws.aws(&["secretsmanager", "create-secret", "--name", "contract", "--secret-string", r#"{"current":"root"}"#]);
    let arn = stored.get("ARN").and_then(Value::as_str).unwrap();
    for kept in [Kept::Derived(arn.to_owned()), Kept::AsIs(arn.to_owned())] {
        let secrets = ManagedSecrets::new(&aws.access, Arc::new(SystemClock), [("contract", kept)]);
        contract::secrets(Arc::new(secrets), "contract").await;
    }
    let key = aws.aws(&["kms", "create-key"]);
    let arn = key.pointer("/KeyMetadata/Arn").and_then(Value::as_str).unwrap();
    contract::vault(Arc::new(KmsVault::new(&aws.access, Arc::new(SystemClock), arn))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_the_app_signs_in_kms_as_it_does_here() {
    let aws = empty();
    let github = GithubHost::start(Arc::new(|| SystemClock.now())).await.unwrap();
    let pem = Secret::new(github.private_key().as_bytes());
    let arn = KmsSigner::import(&aws.access, &pem).await.unwrap();
    let there = KmsSigner::new(&aws.access, arn).sign(b"header.claims").await.unwrap();
    assert_eq!(there, KeySigner::from_pem(&pem).unwrap().sign(b"header.claims").await.unwrap());
    let refused = KmsSigner::import(&aws.access, &Secret::new(&b"a webhook's secret"[..])).await.unwrap_err();
    assert_eq!(refused.message, "it is not the private key of a GitHub App: an RSA key in PEM");
}
