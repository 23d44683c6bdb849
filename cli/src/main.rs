//! The `prfactory` binary.

use std::process::ExitCode;

use clap::Parser as _;
use prfactory::args::Cli;
use prfactory::{Exit, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    run::logging(matches!(cli.command, prfactory::args::Command::Serve(_)));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: this machine gives no threads: {error}");
            return Exit::Failed.into();
        }
    };
    let json = cli.json;
    match runtime.block_on(Box::pin(run::run(cli))) {
        Ok(exit) => exit.into(),
        Err(error) => {
            run::report(json, &error);
            Exit::Failed.into()
        }
    }
}
