//! How a system on AWS's interface is set up: the emulator, the template, and what an operator applies.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use aws::{DynamoTable, Kept, ManagedSecrets, S3Blobs, SqsQueue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::{SystemClock, SystemIds};
use domain::name::BranchName;
use domain::path::RepoPath;
use engine::Engine;
use engine::port::Secrets as _;
use engine::seal::Sealer;
use serde_json::json;
use testkit::aws::Between;
use testkit::git::GitHost;
use testkit::github::{APP, GithubHost};
use testkit::model::ScriptedModel;
use tracker::LocalTracker;
use workspace::{Revision, create_repository};
use xtask::emulator::{Emulator, Stack, Wish};

use super::{Cloud, SHOP, STACK, access, endpoint, python, tenant};
use crate::world::{ADA_GITHUB, ADA_JIRA, GIT_TOKEN, MODEL_KEY, usual_files};

/// What an operator applies; repositories are on a plain git server unless the App is installed.
fn settings(dir: &Path, git: Option<&GitHost>, tenants: usize) -> String {
    let mut text = String::new();
    for number in 1..=tenants {
        let (id, endpoint) = (tenant(number), endpoint(number));
        let token = dir.join("token").display().to_string();
        let place = match git {
            Some(git) => format!("location = {:?}\ntoken_file = {token:?}", git.url("shop.git")),
            None => "location = \"github\"".to_owned(),
        };
        let _ = write!(
            text,
            "[[tenant]]\nid = \"{id}\"\ninstallations = [{number}]\n\
             [[tenant.member]]\nid = \"mem_ada\"\nname = \"ada\"\nrole = \"admin\"\ngithub = {ADA_GITHUB}\njira = \"{ADA_JIRA}\"\n\
             [[tenant.repository]]\nname = \"{SHOP}\"\n{place}\nbase = \"main\"\nprojects = [\"SHOP{number}\"]\n\
             [[tenant.endpoint]]\nid = \"{endpoint}\"\ngeneration = 1\n"
        );
    }
    text
}

/// A copy of the template for an emulator that never says which keys or context a request names, puts no tag in the
/// place of a variable, and is reached without TLS; all that is left to the tests of the template's own words.
fn for_emulator(mut text: String) -> String {
    for condition in ["dynamodb:LeadingKeys", "aws:SecureTransport"] {
        let asked = format!("\"{condition}\": \"false\"");
        assert!(text.contains(&asked), "the template has other words for {condition}");
        text = text.replace(&asked, &format!("\"{condition}\": \"true\""));
    }
    let (asked, if_said) = ("StringEquals: { \"kms:", "StringEqualsIfExists: { \"kms:");
    assert!(text.contains(asked), "the template has other words for the context of a key");
    text = text.replace(asked, if_said).replace("${!aws:PrincipalTag/tenant}", "*");
    text.replace("T/${aws:PrincipalTag/tenant}/*", "T/*")
}

fn deploy(emulator: &Emulator, model: &ScriptedModel, policies: bool, more: &[(&str, &str)]) -> Stack {
    let template = std::fs::read_to_string(xtask::program::root().join("template.yaml")).unwrap();
    let template = if policies { for_emulator(template) } else { template };
    let model = model.url();
    let usual = [("Architecture", "x86_64"), ("ModelUrl", &model), ("ModelName", "scripted")];
    emulator.deploy(&template, STACK, &[&usual[..], more].concat()).unwrap()
}

impl Cloud {
    pub(super) async fn deployed(tenants: usize, policies: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = usual_files().into_iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), text)).collect();
        let at = "2026-02-01T10:00:00Z".parse().unwrap();
        let history = [Revision { message: "Start".to_owned(), at, files }];
        let repositories = dir.path().join("repositories");
        create_repository(&repositories.join("shop.git"), &BranchName::parse("main").unwrap(), &history).unwrap();
        let basic = STANDARD.encode(format!("x-access-token:{GIT_TOKEN}"));
        let git = GitHost::start(repositories, &format!("Basic {basic}")).await.unwrap();
        let model = ScriptedModel::start().await.unwrap();
        let between = Between::start().await.unwrap();
        let folder = dir.path().join("emulator");
        let wish = Wish { functions: Some(&between.url()), policies, foreground: false };
        let emulator = Emulator::start(&python(), &folder, wish).unwrap();
        between.leads_to(emulator.endpoint());
        let stack = deploy(&emulator, &model, policies, &[]);
        let output = |name: &str| stack.output(name).unwrap().to_owned();
        let key = json!({ "current": MODEL_KEY }).to_string();
        let put = ["secretsmanager", "put-secret-value", "--secret-id", &output("ModelSecretArn")];
        emulator.aws(&[&put[..], &["--secret-string", &key]].concat()).unwrap();
        let access = access(&emulator);
        let names = [
            ("sealing-key", Kept::Derived(output("SealingSecretArn"))),
            ("github-webhook", Kept::Derived(output("GithubSecretArn"))),
            ("endpoint-master", Kept::Derived(output("JiraSecretArn"))),
        ];
        let secrets = ManagedSecrets::new(&access, Arc::new(SystemClock), names);
        let engine = Engine {
            table: Arc::new(DynamoTable::new(&access, output("TableName"), None)),
            queue: Arc::new(SqsQueue::new(&access, output("QueuePrefix"))),
            blobs: Arc::new(S3Blobs::new(&access, output("BucketName"), None)),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            sealer: Arc::new(Sealer::new(secrets.load("sealing-key").await.unwrap())),
            slots: None,
            model: None,
        };
        let tracker = LocalTracker::new(engine.clone());
        std::fs::write(dir.path().join("token"), GIT_TOKEN).unwrap();
        std::fs::write(dir.path().join("prfactory.toml"), settings(dir.path(), Some(&git), tenants)).unwrap();
        let http = reqwest::Client::new();
        let cloud = Self { emulator, stack, between, model, git, engine, tracker, secrets, http, dir, policies };
        cloud.apply(tenants);
        cloud
    }

    fn apply(&self, tenants: usize) {
        let said = self.admin(&["apply", &self.dir.path().join("prfactory.toml").display().to_string()]);
        assert_eq!(said["tenants"], json!(tenants));
    }

    /// Installs the App of an Enterprise Server for the first tenant as an operator does: its key goes into KMS, the
    /// template is deployed with it, and from now on the repository is the one there.
    pub async fn install(&self, github: &GithubHost) {
        github.enterprise();
        let pem = self.dir.path().join("app.pem");
        std::fs::write(&pem, github.private_key()).unwrap();
        let imported = self.admin(&["app-key", &pem.display().to_string()]);
        let (number, api) = (APP.to_string(), format!("{}/api/v3", github.url()));
        let arn = imported["arn"].as_str().unwrap();
        let app = [("GithubAppId", number.as_str()), ("GithubAppKeyArn", arn), ("GithubApiUrl", &api)];
        deploy(&self.emulator, &self.model, self.policies, &app);
        std::fs::write(self.dir.path().join("prfactory.toml"), settings(self.dir.path(), None, 1)).unwrap();
        self.apply(1);
        let api = self.stack.output("ApiId").unwrap();
        let address = format!("{}/_aws/execute-api/{api}/$default/webhooks/github", self.emulator.endpoint());
        github.connect(&address, self.secret("github-webhook").await.expose());
    }
}
