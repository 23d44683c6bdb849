//! How a process starts: runtime, logs, the platform's own variables; and what it says when it cannot.

use std::future::Future;
use std::process::ExitCode;

use aws::Access;
use domain::error::Failure;
use engine::port::Secret;
use thiserror::Error;

use crate::trace;
use crate::variable::{ConfigError, Reader};

/// Why a function cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Its environment is not complete.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something it needs first cannot be had.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// Its ephemeral storage cannot be used.
    #[error("ephemeral storage cannot be used: {0}")]
    Storage(#[from] std::io::Error),
    /// The Lambda runtime gave up.
    #[error("the runtime ended: {0}")]
    Runtime(String),
}

/// Reaches AWS as the platform's variables say.
pub(crate) fn access() -> Result<Access, ConfigError> {
    let mut reader = Reader::default();
    let region = reader.read::<String>("AWS_REGION");
    let endpoint = reader.read::<Option<String>>("AWS_ENDPOINT_URL");
    let key = reader.read::<String>("AWS_ACCESS_KEY_ID");
    let secret = reader.read::<String>("AWS_SECRET_ACCESS_KEY").map(|text| Secret::new(text.into_bytes()));
    let token = reader.read::<Option<String>>("AWS_SESSION_TOKEN");
    let access = (|| {
        let token = token?.map(|text| Secret::new(text.into_bytes()));
        Some(Access::new(region?, endpoint?, (&key?, &secret?), token.as_ref()))
    })();
    reader.end(access)
}

/// Runs a function until its environment is taken away.
pub(crate) fn run(start: impl Future<Output = Result<(), StartError>>, threads: bool) -> ExitCode {
    trace::begin();
    let mut runtime = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let ended = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(start),
        Err(error) => Err(StartError::Storage(error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the function cannot start");
            ExitCode::FAILURE
        }
    }
}
