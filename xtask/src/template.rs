//! What the template must pass before anybody deploys it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use xtask::program::{output, root, run, target};
use xtask::python;

/// Words of the template, what breaks a rule in their place, and the rule.
const BROKEN: [(&str, &str, &str); 17] = [
    ("maxReceiveCount: 5", "maxReceiveCount: 50", "e4_queues_give_up_after_five_receives"),
    ("MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 345600", "e4_dead_letters_are_kept_for_two_weeks"),
    ("SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false", "queues_are_encrypted"),
    ("aws:PrincipalAccount", "aws:SourceIp", "queues_take_only_encrypted_calls_of_this_account"),
    ("PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false", "n11_tables_can_be_restored"),
    ("BlockPublicPolicy: true", "BlockPublicPolicy: false", "buckets_are_closed"),
    ("aws:SecureTransport", "aws:ViaAWSService", "buckets_take_only_encrypted_calls"),
    ("EnableKeyRotation: true", "EnableKeyRotation: false", "n5_keys_rotate_and_stay"),
    (
        "      GenerateSecretString:",
        "      SecretString: x\n      GenerateSecretString:",
        "n7_secrets_are_few_made_here_and_stay",
    ),
    ("Timeout: 420", "Timeout: 900", "functions_have_roles_limits_and_names"),
    ("[ReportBatchItemFailures]", "[]", "e4_functions_answer_for_each_message"),
    ("TABLE_NAME: !Ref Table", "GITHUB_TOKEN: x", "n6_no_secret_in_an_environment"),
    ("BUCKET_NAME: !Ref Bucket", "VAULT_KEY_ARN: x", "t3_the_agent_is_told_of_no_secret"),
    ("RetentionInDays: !Ref LogRetentionDays", "LogGroupClass: STANDARD", "n10_logs_end"),
    ("AlarmActions: [!Ref Alarms]", "AlarmActions: []", "e4_somebody_is_told"),
    (
        "AWS::SNS::Topic",
        "AWS::SNS::Topic\n    Properties: { KmsMasterKeyId: alias/aws/sns }",
        "alarms_can_be_published",
    ),
    ("ThrottlingRateLimit: 100", "DetailedMetricsEnabled: true", "w7_the_way_in_is_throttled_and_logged"),
];

/// Breaks each rule in turn and fails where that goes unnoticed.
fn rules_can_fail(template: &Path, rules: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(template)?;
    let broken = target().join("broken.yaml");
    for (words, others, rule) in BROKEN {
        if !text.contains(words) {
            bail!("the template does not say `{words}` any more; {rule} is not known to work");
        }
        std::fs::write(&broken, text.replace(words, others))?;
        let mut guard = Command::new("cfn-guard");
        guard.args(["validate", "--show-summary", "fail", "--rules", rules, "--data"]).arg(&broken);
        let said = guard.output().context("`cfn-guard` cannot be run")?;
        if said.status.success() || !String::from_utf8_lossy(&said.stdout).contains(rule) {
            bail!("{rule} does not notice `{others}`");
        }
    }
    Ok(())
}

/// Lints the template, and holds it to our own rules and to those of others.
pub(crate) fn check() -> anyhow::Result<()> {
    let template = root().join("template.yaml").display().to_string();
    let (rules, config) = (root().join("infra/rules"), root().join("infra/checkov.yaml"));
    let program = |environment: &str, name: &str| -> anyhow::Result<String> {
        Ok(python::environment(environment)?.join("bin").join(name).display().to_string())
    };
    let quiet = [("SAM_CLI_TELEMETRY", "0")];
    run(&program("cfn-lint", "cfn-lint")?, &[&template], &[])?;
    let validate = ["validate", "--lint", "--template-file", &template, "--region", "eu-central-1"];
    run(&program("sam", "sam")?, &validate, &quiet)?;
    output(Command::new("cfn-guard").arg("--version"))
        .context("`cfn-guard` is needed: `cargo install --locked cfn-guard`")?;
    let guard = ["validate", "--data", &template, "--rules", &rules.display().to_string(), "--show-summary", "fail"];
    run("cfn-guard", &guard, &[])?;
    rules_can_fail(Path::new(&template), &rules.display().to_string())?;
    run(&program("checkov", "checkov")?, &["--file", &template, "--config-file", &config.display().to_string()], &[])
}
