//! What can go wrong while a stage runs, by who has to act.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What the caller does about an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Passing: the same call may work in a moment.
    Transient,
    /// The other side asked us to wait.
    RateLimited {
        /// When to call again, if it said so.
        retry_at: Option<Timestamp>,
    },
    /// A quota of the customer is used up.
    Quota,
    /// A credential is missing, wrong or expired.
    Auth,
    /// The credential is fine but may not do this.
    Permission,
    /// A person must change something: the ticket, the repository, the model's output.
    Invalid,
    /// Somebody else changed what we were about to change.
    Conflict,
    /// It may or may not have happened: read back before deciding.
    Unknown,
    /// A fault of ours.
    Bug,
}

impl Fault {
    /// Says whether trying again by itself makes sense.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transient | Self::RateLimited { .. } | Self::Unknown | Self::Conflict => true,
            Self::Quota | Self::Auth | Self::Permission | Self::Invalid | Self::Bug => false,
        }
    }

    /// Says whether what was asked for may have been done all the same: nothing tells, or an answer could not be read.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Unknown | Self::Bug)
    }

    /// The category people read.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Transient => "temporary failure",
            Self::RateLimited { .. } => "rate limit",
            Self::Quota => "quota used up",
            Self::Auth => "credentials",
            Self::Permission => "permission",
            Self::Invalid => "needs a change",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown outcome",
            Self::Bug => "internal error",
        }
    }

    /// Who has to act before a retry can help.
    pub fn who_acts(&self) -> &'static str {
        match self {
            Self::Transient | Self::RateLimited { .. } | Self::Unknown => "nobody; it can simply be retried",
            Self::Quota => "an admin of this tenant",
            Self::Auth | Self::Permission => "whoever administers the connection",
            Self::Invalid => "the author of the ticket or a developer of the repository",
            Self::Conflict => "whoever else changed the branch",
            Self::Bug => "the operator of PRFactory",
        }
    }
}

/// An error in a person's words: never a stack trace, never another system's raw text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What the caller does about it.
    #[serde(flatten)]
    pub fault: Fault,
    /// One sentence for people.
    pub message: String,
}

impl Failure {
    /// Puts a fault into words.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault.category(), self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_it_is_and_who_has_to_act() {
        let all = [
            (Fault::Transient, "temporary failure", "nobody; it can simply be retried"),
            (Fault::RateLimited { retry_at: None }, "rate limit", "nobody; it can simply be retried"),
            (Fault::Quota, "quota used up", "an admin of this tenant"),
            (Fault::Auth, "credentials", "whoever administers the connection"),
            (Fault::Permission, "permission", "whoever administers the connection"),
            (Fault::Invalid, "needs a change", "the author of the ticket or a developer of the repository"),
            (Fault::Conflict, "conflict", "whoever else changed the branch"),
            (Fault::Unknown, "unknown outcome", "nobody; it can simply be retried"),
            (Fault::Bug, "internal error", "the operator of PRFactory"),
        ];
        for (fault, category, who) in all {
            assert_eq!((fault.category(), fault.who_acts()), (category, who));
            assert!(fault.is_retryable() || !who.starts_with("nobody"), "{fault:?} needs somebody");
            assert_eq!(Failure::new(fault, "it broke").to_string(), format!("{category}: it broke"));
        }
    }
}
