//! What a thousand tickets cost on AWS besides their models: requests counted on the deployed template, priced.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends when something is wrong")]
#![allow(clippy::cast_precision_loss, reason = "far fewer than 2^53 of anything")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use stories::cloud::Cloud;

/// List prices in US dollars, us-east-1, without any free tier.
mod price {
    /// When they were looked up.
    pub(super) const AS_OF: &str = "2025-06";
    /// A gigabyte-second of Lambda on arm64.
    pub(super) const GB_SECOND: f64 = 0.000_013_333_4;
    /// An invocation of Lambda.
    pub(super) const INVOCATION: f64 = 0.2e-6;
    /// A unit of writing, DynamoDB on demand.
    pub(super) const WRITE: f64 = 0.625e-6;
    /// A unit of reading, DynamoDB on demand.
    pub(super) const READ: f64 = 0.125e-6;
    /// A request of SQS.
    pub(super) const SQS: f64 = 0.4e-6;
    /// A `PUT` of S3.
    pub(super) const S3_PUT: f64 = 5e-6;
    /// A `GET` of S3.
    pub(super) const S3_GET: f64 = 0.4e-6;
    /// A request of KMS.
    pub(super) const KMS: f64 = 3e-6;
    /// A request of Secrets Manager.
    pub(super) const SECRET: f64 = 5e-6;
    /// A request through an HTTP API.
    pub(super) const HTTP: f64 = 1e-6;
    /// A gigabyte of logs.
    pub(super) const LOGS: f64 = 0.5;
}

/// Model calls of the ticket.
const TURNS: usize = 40;
/// How long a model takes for one, in seconds.
const MODEL_SECONDS: f64 = 20.0;
/// Longest a step may take.
const STEP: Duration = Duration::from_mins(3);

/// Gigabytes of a function, as the template has them.
fn memory(function: &str) -> f64 {
    let megabytes = match function {
        "github-webhook" | "jira-webhook" | "model" => 128.0,
        "intake" | "sweep" => 256.0,
        "notify" => 512.0,
        "snapshot" => 2048.0,
        _ => 1024.0,
    };
    megabytes / 1024.0
}

/// Invocations, seconds and bytes of logs of each function, read from what they wrote.
fn worked(log: &str) -> BTreeMap<String, (f64, f64, f64)> {
    let mut all: BTreeMap<String, (f64, f64, f64)> = BTreeMap::new();
    let mut bytes = 0.0;
    for line in log.lines().filter(|line| line.starts_with('{')) {
        bytes += line.len() as f64 + 1.0;
        let Ok(said) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if let (Some(function), Some(took)) = (said["Function"].as_str(), said["Duration"].as_f64()) {
            let of = all.entry(function.to_owned()).or_default();
            *of = (of.0 + 1.0, of.1 + took / 1_000.0, of.2 + std::mem::take(&mut bytes));
        }
    }
    all
}

#[tokio::main]
async fn main() {
    let cloud = Cloud::start(1).await;
    let title = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
    // A first ticket warms everything up.
    cloud.label(1, "SHOP1-1", "Raise the tax", title).await;
    cloud.guided(1, "SHOP1-1", STEP).await;
    cloud.hears(1, "SHOP1-1", "pull request open", STEP).await;
    let (before, calls) = (std::fs::read_to_string(cloud.emulator.log()).unwrap().len(), cloud.model.calls());
    cloud.between.counted();
    cloud.label(1, "SHOP1-2", "Raise the tax again", title).await;
    let planned = cloud.reaches((1, "SHOP1-2"), &["awaiting_refinement_approval"], STEP).await;
    assert!(planned.plan().is_none());
    cloud.say(1, "SHOP1-2", "approve").await;
    let planned = cloud.reaches((1, "SHOP1-2"), &["awaiting_plan_approval"], STEP).await;
    // Two calls carry the change out and one reviews it; until then the model reads.
    for turn in 0..TURNS - (cloud.model.calls() - calls) - 3 {
        let read = json!({ "type": "tool_use", "id": format!("toolu_r{turn}"), "name": "read", "input": { "path": "src/cart.py" } });
        cloud.model.answer_next(json!([read]));
    }
    cloud.say(1, "SHOP1-2", &format!("approve {}", planned.awaiting().unwrap().hash.short())).await;
    cloud.reaches((1, "SHOP1-2"), &["in_review"], STEP).await;
    cloud.hears(1, "SHOP1-2", "pull request open", STEP).await;
    let turns = cloud.model.calls() - calls;
    let counted = cloud.between.counted();
    let log = std::fs::read_to_string(cloud.emulator.log()).unwrap();
    let result = priced(&counted, &worked(log.get(before..).unwrap()), turns);
    println!("{}", if std::env::args().any(|a| a == "--json") { result.to_string() } else { format!("{result:#}") });
}

fn priced(counted: &BTreeMap<String, u64>, worked: &BTreeMap<String, (f64, f64, f64)>, turns: usize) -> Value {
    let of = |name: &str| counted.get(name).copied().unwrap_or(0) as f64;
    let all = |prefix: &str| counted.iter().filter(|(n, _)| n.starts_with(prefix)).map(|(_, c)| *c as f64).sum::<f64>();
    // Lambda receives and deletes each message, which the functions do not see.
    let sent = of("sqs.SendMessage") + of("sqs.SendMessageBatch");
    let deliveries = 3.0;
    let requests = json!({
        "dynamodb": (of("dynamodb.writes") * price::WRITE + of("dynamodb.reads") * price::READ) * 1_000.0,
        "sqs": (all("sqs.") + 2.0 * sent) * price::SQS * 1_000.0,
        "s3": (of("s3.PUT") * price::S3_PUT + of("s3.GET") * price::S3_GET) * 1_000.0,
        "kms": all("kms.") * price::KMS * 1_000.0,
        "secrets": all("secretsmanager.") * price::SECRET * 1_000.0,
        "api": deliveries * price::HTTP * 1_000.0,
    });
    let mut compute = BTreeMap::new();
    for (function, (invocations, seconds, _)) in worked {
        let waits = if function == "model" { turns as f64 * MODEL_SECONDS } else { 0.0 };
        let dollars = (seconds + waits) * memory(function) * price::GB_SECOND + invocations * price::INVOCATION;
        compute.insert(function.clone(), dollars * 1_000.0);
    }
    let webhooks = deliveries * (0.01 * memory("jira-webhook") * price::GB_SECOND + price::INVOCATION);
    compute.insert("jira-webhook".to_owned(), webhooks * 1_000.0);
    let logs = worked.values().map(|(_, _, bytes)| bytes).sum::<f64>() / 1e9 * price::LOGS * 1_000.0;
    let sum = |value: &Value| value.as_object().unwrap().values().filter_map(Value::as_f64).sum::<f64>();
    let compute = json!(compute);
    let total = sum(&requests) + sum(&compute) + logs;
    json!({
        "prices_as_of": price::AS_OF, "model_calls": turns, "counted_per_ticket": counted,
        "seconds_per_ticket": worked.iter().map(|(f, (_, s, _))| (f.clone(), *s)).collect::<BTreeMap<_, _>>(),
        "usd_per_1000_tickets": { "requests": requests, "compute": compute, "logs_and_metrics": logs,
            "requests_in_all": sum(&requests), "compute_in_all": sum(&compute), "in_all": total } })
}
