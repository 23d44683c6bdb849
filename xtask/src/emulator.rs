//! AWS's interface on this machine, in a process that ends with its owner; and stacks deployed to it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::package::{self, RELEASED};
use crate::program::{output, root};

/// A running emulator, with a folder of its own.
pub struct Emulator {
    process: Child,
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
}

/// What a deployed stack says of itself.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its outputs by name.
    pub outputs: BTreeMap<String, String>,
}

/// The region and account of everything there.
pub const REGION: &str = "eu-central-1";
/// The account of everything there.
pub const ACCOUNT: &str = "000000000000";
/// The credentials of its owner, which open nothing anywhere else.
pub const KEY: &str = "test";

/// How an emulator is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// Where its functions reach AWS, where that is somewhere else.
    pub functions: Option<&'a str>,
    /// Whether roles and their policies count.
    pub policies: bool,
    /// Whether it ends when the terminal says stop, rather than with its owner's value.
    pub foreground: bool,
}

impl Emulator {
    /// Starts one from a Python environment, with a folder for all it writes, and waits until it answers.
    pub fn start(python: &Path, folder: &Path, wish: Wish<'_>) -> anyhow::Result<Self> {
        let Wish { functions, policies, foreground } = wish;
        std::fs::create_dir_all(folder)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = std::fs::File::create(folder.join("emulator.log"))?;
        let mut command = Command::new(python.join("bin/ministack"));
        if !foreground {
            // Its functions are its children; all of them end together.
            command.process_group(0);
        }
        let process = command
            .current_dir(folder)
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("LAMBDA_EXECUTOR", "local"), ("BIND_HOST", "127.0.0.1")])
            .envs([("IOT_MTLS_ENABLED", "0"), ("SFTP_ENABLED", "0"), ("AWS_DEFAULT_REGION", REGION)])
            .envs([("AUTH", if policies { "true" } else { "false" })])
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .env("GATEWAY_PORT", port.to_string())
            .env("AWS_ENDPOINT_URL", functions.map_or_else(|| format!("http://127.0.0.1:{port}"), str::to_owned))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the emulator cannot be started")?;
        let mut emulator = Self { process, bin: python.join("bin"), folder: folder.to_owned(), port };
        emulator.answers()?;
        Ok(emulator)
    }

    fn answers(&mut self) -> anyhow::Result<()> {
        for _ in 0..600 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the emulator ended with {status}: see {}", self.log().display());
            }
            #[expect(clippy::disallowed_methods, reason = "a process that starts is looked at until it answers")]
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        bail!("the emulator does not answer: see {}", self.log().display())
    }

    /// What it and the functions wrote.
    pub fn log(&self) -> PathBuf {
        self.folder.join("emulator.log")
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process, for those who watch it.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What leads programs that speak to AWS here.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
        ]
    }

    /// Runs AWS's own command line against it; what it prints, as JSON.
    pub fn aws(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut command = Command::new(self.bin.join("python"));
        command
            .arg(self.bin.join("aws"))
            .args(["--output", "json", "--endpoint-url", &self.endpoint()])
            .args(arguments);
        let text = output(command.envs(self.environment()).env("HOME", &self.folder).current_dir(root()))?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Deploys a template with the functions of the development build; says what the stack says.
    pub fn deploy(&self, template: &str, name: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Stack> {
        let (bucket, packed) = (format!("{name}-code"), self.folder.join("packaged.yaml"));
        if self.aws(&["s3api", "head-bucket", "--bucket", &bucket]).is_err() {
            self.aws(&["s3", "mb", &format!("s3://{bucket}")])?;
        }
        let developed = self.folder.join("template.yaml");
        std::fs::write(&developed, template.replace(RELEASED, &package::developed().display().to_string()))?;
        let (from, to) = (developed.display().to_string(), packed.display().to_string());
        let package = ["cloudformation", "package", "--template-file", &from, "--s3-bucket", &bucket];
        self.aws(&[&package[..], &["--output-template-file", &to]].concat())?;
        let given: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut deploy = vec!["cloudformation", "deploy", "--template-file", &to, "--stack-name", name];
        deploy.extend(["--s3-bucket", &bucket, "--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]);
        deploy.push("--parameter-overrides");
        deploy.extend(given.iter().map(String::as_str));
        self.aws(&deploy)?;
        self.stack(name)
    }

    /// What a stack says.
    pub fn stack(&self, name: &str) -> anyhow::Result<Stack> {
        let described = self.aws(&["cloudformation", "describe-stacks", "--stack-name", name])?;
        let outputs = described.pointer("/Stacks/0/Outputs").and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |output: &Value, key: &str| Some(output.get(key)?.as_str()?.to_owned());
        let outputs =
            outputs.iter().filter_map(|output| Some((text(output, "OutputKey")?, text(output, "OutputValue")?)));
        Ok(Stack { outputs: outputs.collect() })
    }
}

impl Stack {
    /// One of its outputs.
    pub fn output(&self, name: &str) -> anyhow::Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Nothing can be done about what cannot be ended.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status();
        let _ = self.process.wait();
    }
}
