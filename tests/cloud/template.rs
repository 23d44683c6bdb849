//! The template's own words: who may do what, and which function is told what.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use stories::cloud::python;
use xtask::package::FUNCTIONS;
use xtask::program::root;

/// The template as CloudFormation reads it, with every short form written out.
fn template() -> Value {
    let read = "import json, sys; from awscli.customizations.cloudformation.yamlhelper import yaml_parse; \
                print(json.dumps(yaml_parse(open(sys.argv[1]).read())))";
    let output =
        Command::new(python().join("bin/python")).args(["-c", read]).arg(root().join("template.yaml")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn resources(template: &Value, kind: &str) -> BTreeMap<String, Value> {
    let all = template["Resources"].as_object().unwrap();
    all.iter().filter(|(_, r)| r["Type"] == kind).map(|(name, r)| (name.clone(), r["Properties"].clone())).collect()
}

/// `github-webhook` → `GithubWebhook`.
fn logical(function: &str) -> String {
    let mut start = true;
    let letters = function.chars().filter_map(|letter| {
        let capital = std::mem::replace(&mut start, letter == '-');
        (letter != '-').then_some(if capital { letter.to_ascii_uppercase() } else { letter })
    });
    letters.collect()
}

fn list(value: &Value) -> Vec<Value> {
    match value.as_array() {
        Some(all) => all.clone(),
        None if value.is_null() => Vec::new(),
        None => vec![value.clone()],
    }
}

/// What a resource is called in a policy: the text of a `Sub`, or `Name.Arn` of a `GetAtt`, or a name.
fn named(resource: &Value) -> String {
    if let Some(text) = resource["Fn::Sub"].as_str() {
        return text.to_owned();
    }
    if let Some(parts) = resource["Fn::GetAtt"].as_array() {
        return parts.iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(".");
    }
    if let Some(parts) = resource["Fn::If"].as_array() {
        return named(&parts[1]);
    }
    if let Some(name) = resource["Ref"].as_str() {
        return name.to_owned();
    }
    resource.as_str().unwrap_or_else(|| panic!("{resource}")).to_owned()
}

/// The statements of a role.
fn statements(template: &Value, role: &str) -> Vec<Value> {
    let role = &resources(template, "AWS::IAM::Role")[role];
    list(&role["Policies"]).iter().flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])).collect()
}

#[test]
fn no_role_has_a_wildcard() {
    let template = template();
    let roles = resources(&template, "AWS::IAM::Role");
    assert_eq!(roles.len(), FUNCTIONS.len() + 2, "one a function, the tenant's, the schedule's");
    for (name, role) in &roles {
        assert_eq!(role.get("ManagedPolicyArns"), None, "{name} has policies of somebody else");
        for statement in statements(&template, name) {
            assert_eq!(statement["Effect"], "Allow");
            for action in list(&statement["Action"]) {
                assert!(!action.as_str().unwrap().contains('*'), "{name}: {action}");
            }
            for resource in list(&statement["Resource"]).iter().map(named) {
                // Below a tenant's own prefix anything is the tenant's.
                let own = resource == "${Bucket.Arn}/T/${!aws:PrincipalTag/tenant}/*";
                assert!(own || !resource.contains('*'), "{name}: {resource}");
            }
        }
    }
}

/// Names of variables that a source file reads.
fn read_by(path: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let read = Regex::new(r#"(?m)^    \w+: .+ = "([A-Z_]+)",$"#).unwrap();
    read.captures_iter(&text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_variable_is_read_by_one_config_and_set_by_the_template_and_the_reverse() {
    let template = template();
    let functions = resources(&template, "AWS::Serverless::Function");
    assert_eq!(functions.len(), FUNCTIONS.len());
    let common = read_by("shared/lambda/src/stack.rs");
    assert_eq!(common.len(), 5);
    for name in FUNCTIONS {
        let own = read_by(&format!("functions/{name}/src/main.rs"));
        let main = std::fs::read_to_string(root().join(format!("functions/{name}/src/main.rs"))).unwrap();
        assert!(main.lines().count() <= 60, "{name}");
        let mut reads = own.clone();
        if main.contains("Stack::from_env") {
            assert!(common.is_disjoint(&own), "{name} reads a variable twice");
            reads.extend(common.clone());
        }
        let set = functions[&format!("{}Function", logical(name))]["Environment"]["Variables"].as_object().unwrap();
        assert_eq!(set.keys().cloned().collect::<BTreeSet<_>>(), reads, "{name}");
    }
}

#[test]
fn a_message_is_hidden_for_six_times_what_its_function_may_take() {
    let template = template();
    let (functions, queues) =
        (resources(&template, "AWS::Serverless::Function"), resources(&template, "AWS::SQS::Queue"));
    let mut read = 0;
    for (name, function) in functions {
        let Some(event) = function["Events"].as_object().and_then(|events| events.values().next()) else {
            continue;
        };
        read += 1;
        let queue = named(&event["Properties"]["Queue"]).replace(".Arn", "");
        let hidden = queues[&queue]["VisibilityTimeout"].as_u64().unwrap();
        assert!(hidden >= 6 * function["Timeout"].as_u64().unwrap(), "{name}");
    }
    assert_eq!((read, queues.len()), (11, 22));
}

/// One request as a policy sees it.
struct Request<'a> {
    action: &'a str,
    resource: &'a str,
    /// The partition keys it names; none at all for those that name no row.
    keys: &'a [&'a str],
    prefix: Option<&'a str>,
    tenant: &'a str,
}

fn like(pattern: &str, text: &str) -> bool {
    let pattern = pattern.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
    Regex::new(&format!("^{pattern}$")).unwrap().is_match(text)
}

/// Whether one condition of a statement holds, as AWS documents its operators.
fn holds(operator: &str, condition: &Value, request: &Request<'_>) -> bool {
    let condition = condition.as_object().unwrap();
    condition.iter().all(|(key, wanted)| {
        let wanted = list(wanted).iter().map(|w| filled(w.as_str().unwrap(), request)).collect::<Vec<_>>();
        let values: Vec<&str> = match key.as_str() {
            "dynamodb:LeadingKeys" => request.keys.to_vec(),
            "s3:prefix" => request.prefix.into_iter().collect(),
            other => panic!("nobody said how {other} is read"),
        };
        match operator {
            "ForAllValues:StringLike" => values.iter().all(|value| wanted.iter().any(|pattern| like(pattern, value))),
            "StringLike" => values.iter().any(|value| wanted.iter().any(|pattern| like(pattern, value))),
            "Null" => wanted.iter().all(|null| (null == "true") == values.is_empty()),
            other => panic!("nobody said how {other} is read"),
        }
    })
}

fn filled(text: &str, request: &Request<'_>) -> String {
    text.replace("${!aws:PrincipalTag/tenant}", request.tenant).replace("${aws:PrincipalTag/tenant}", request.tenant)
}

/// Whether a role's policies, of which none denies, allow a request.
fn allows(statements: &[Value], request: &Request<'_>) -> bool {
    statements.iter().any(|statement| {
        let action = list(&statement["Action"]).iter().any(|action| action == request.action);
        let on = |resource: &Value| like(&filled(&named(resource), request), request.resource);
        let fits =
            || statement["Condition"].as_object().is_none_or(|all| all.iter().all(|(o, c)| holds(o, c, request)));
        action && list(&statement["Resource"]).iter().any(on) && fits()
    })
}

/// A request of tenant A's session for rows of the table.
fn row<'a>(action: &'a str, keys: &'a [&'a str]) -> Request<'a> {
    Request { action, resource: "Table.Arn", keys, prefix: None, tenant: "ten_a" }
}

#[test]
fn the_session_of_one_tenant_reaches_nothing_of_another() {
    let tenant = statements(&template(), "TenantRole");
    let writes = ["PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem", "GetItem", "BatchGetItem", "Query"];
    for action in writes.map(|name| format!("dynamodb:{name}")) {
        assert!(allows(&tenant, &row(&action, &["T#ten_a"])), "{action}");
        assert!(allows(&tenant, &row(&action, &["T#ten_a#TICKET#tkt_1"])), "{action}");
        for foreign in ["T#ten_b", "T#ten_b#TICKET#tkt_1", "T#ten_ab#X", "T#ten_", "IDENTITY#github#1", "DUE#0", "T#*"]
        {
            assert!(!allows(&tenant, &row(&action, &[foreign])), "{action} {foreign}");
            assert!(!allows(&tenant, &row(&action, &["T#ten_a", foreign])), "{action} {foreign} beside an own row");
        }
        assert!(!allows(&tenant, &row(&action, &[])), "{action} without any key");
    }
    let look = ["INSTALLATION#1"];
    assert!(allows(&tenant, &row("dynamodb:ConditionCheckItem", &look)), "the connection is checked with the write");
    for action in ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query"] {
        assert!(!allows(&tenant, &row(action, &look)), "{action}");
    }
    for action in ["dynamodb:Scan", "dynamodb:PartiQLSelect", "dynamodb:ExportTableToPointInTime"] {
        assert!(!allows(&tenant, &row(action, &["T#ten_a"])), "{action}");
    }
    let index = Request { resource: "${Table.Arn}/index/listing", ..row("dynamodb:Query", &["T#ten_a"]) };
    assert!(!allows(&tenant, &index), "leading keys are not those of an index");
    let blob = |action, of: &str, prefix| {
        let resource = format!("${{Bucket.Arn}}/T/{of}/00ff");
        allows(&tenant, &Request { action, resource: &resource, keys: &[], prefix, tenant: "ten_a" })
    };
    for action in ["s3:GetObject", "s3:PutObject"] {
        assert!(blob(action, "ten_a", None));
        assert!(!blob(action, "ten_b", None) && !blob(action, "ten_ab", None) && !blob(action, "..", None));
    }
    assert!(!blob("s3:DeleteObject", "ten_a", None));
    let list = |prefix| {
        let request = Request { action: "s3:ListBucket", resource: "Bucket.Arn", keys: &[], prefix, tenant: "ten_a" };
        allows(&tenant, &request)
    };
    assert!(list(Some("T/ten_a/00")) && !list(Some("T/ten_b/00")) && !list(Some("T/")) && !list(None));
}

#[test]
fn a_function_by_itself_reaches_no_row_of_any_tenant() {
    let template = template();
    let own = |name: &str| statements(&template, &format!("{}Role", logical(name)));
    for name in FUNCTIONS {
        for action in ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:DeleteItem"] {
            let request = |keys| Request { action, resource: "Table.Arn", keys, prefix: None, tenant: "" };
            assert!(!allows(&own(name), &request(&["T#ten_a"])), "{name} {action}");
            assert!(!allows(&own(name), &request(&[])), "{name} {action}");
            let looks_up = allows(&own(name), &request(&["INSTALLATION#1"]));
            let may = ["intake", "notify", "publish", "snapshot"].contains(&name) && action == "dynamodb:GetItem";
            assert_eq!(looks_up, may || (name == "intake" && action == "dynamodb:PutItem"), "{name} {action}");
        }
    }
}

#[test]
fn the_agent_holds_no_secret_and_webhooks_hold_one() {
    let template = template();
    for name in FUNCTIONS {
        let all = statements(&template, &format!("{}Role", logical(name)));
        let of = |action: &str| -> BTreeSet<String> {
            let with = all.iter().filter(|s| list(&s["Action"]).iter().any(|a| a == action));
            with.flat_map(|statement| list(&statement["Resource"])).map(|resource| named(&resource)).collect()
        };
        let secrets = match name {
            "github-webhook" => vec!["GithubSecret.Id"],
            "jira-webhook" => vec!["JiraSecret.Id"],
            "intake" => vec!["GithubSecret.Id", "JiraSecret.Id", "SealingSecret.Id"],
            "model" => vec!["ModelSecret.Id", "SealingSecret.Id"],
            _ => vec!["SealingSecret.Id"],
        };
        let expected: BTreeSet<String> = secrets.into_iter().map(str::to_owned).collect();
        assert_eq!(of("secretsmanager:GetSecretValue"), expected, "{name}");
        assert_eq!(
            !of("kms:Decrypt").is_empty(),
            ["intake", "notify", "publish", "snapshot"].contains(&name),
            "{name}"
        );
        assert_eq!(!of("sts:AssumeRole").is_empty(), !name.ends_with("webhook"), "{name}");
    }
}
