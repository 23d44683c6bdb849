//! What went wrong with a call, by what the caller may do about it; never the raw words of an answer.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use domain::error::{Failure, Fault};

/// How far a call got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was answered with an error; nothing happened. The error's name.
    Answered(String),
    /// Too many requests; nothing happened.
    Throttled,
    /// It may or may not have happened: no answer, or a fault of the service.
    Unknown(String),
    /// It never left, for want of an identity: the tenant's role could not be assumed.
    Unidentified,
    /// It never left.
    NotSent,
}

/// Whether a call failed before it was sent, because whoever was to sign it could not be found out.
fn without_identity(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Names of errors that ask for patience.
const BUSY: [&str; 11] = [
    "LimitExceededException",
    "OverLimit",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Names of errors that S3 answers with 400 and that leave open what happened.
const UNSETTLED: [&str; 2] = ["OperationAborted", "RequestTimeout"];

impl Refused {
    /// Reads an error of an SDK.
    pub(crate) fn of<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E, HttpResponse>) -> Self {
        match error {
            SdkError::ConstructionFailure(_) => Self::NotSent,
            SdkError::ServiceError(context) => {
                let code = context.err().code().unwrap_or("an error without a name");
                if BUSY.contains(&code) || context.raw().status().as_u16() == 429 {
                    Self::Throttled
                } else if context.raw().status().is_server_error() || UNSETTLED.contains(&code) {
                    Self::Unknown(code.to_owned())
                } else {
                    Self::Answered(code.to_owned())
                }
            }
            SdkError::TimeoutError(_) => Self::Unknown("no answer in time".to_owned()),
            SdkError::DispatchFailure(_) if without_identity(error) => Self::Unidentified,
            SdkError::DispatchFailure(_) => Self::Unknown("the connection broke".to_owned()),
            SdkError::ResponseError(_) | _ => Self::Unknown("an answer that cannot be read".to_owned()),
        }
    }

    /// Whether it was answered with an error of that name.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Answered(answer) if answer == name)
    }

    /// What it means to a caller for whom doing it twice is doing it once.
    pub(crate) fn repeatable(self, what: &str) -> Failure {
        match self {
            Self::Throttled => Failure::new(Fault::Transient, format!("{what}: too many requests")),
            Self::Unknown(name) => Failure::new(Fault::Transient, format!("{what}: {name}")),
            Self::Unidentified => {
                Failure::new(Fault::Transient, format!("{what}: the tenant's role cannot be assumed"))
            }
            Self::NotSent => Failure::new(Fault::Bug, format!("{what}: the request cannot be made")),
            Self::Answered(name) => {
                // What AWS refuses us is the operator's to mend, whatever it calls it; no tenant's permission is at fault.
                Failure::new(Fault::Bug, format!("{what}: {name}"))
            }
        }
    }
}
