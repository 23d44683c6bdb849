//! Identifiers we make ourselves: a prefix that names the kind, then lower-case letters and digits.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Text that is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a {kind}: expected `{prefix}` followed by 1 to 40 lower-case letters or digits")]
pub struct IdError {
    text: String,
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What every identifier of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Reads an identifier, refusing any text that is not prefix plus 1 to 40 of `[a-z0-9]`.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let ok = text.strip_prefix($prefix).is_some_and(|rest| {
                    (1..=40).contains(&rest.len())
                        && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                });
                if ok {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { text: text.chars().take(60).collect(), kind: stringify!($name), prefix: $prefix })
                }
            }

            /// The identifier as it is stored and printed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

prefixed_id!(
    /// One customer: every stored key, blob and log line carries it.
    TenantId, "ten_"
);
prefixed_id!(
    /// One person of one tenant, whichever surface they speak on.
    MemberId, "mem_"
);
prefixed_id!(
    /// One run of the workflow for one tracker ticket.
    TicketId, "tkt_"
);
prefixed_id!(
    /// One webhook address of one tenant; at least 128 random bits, so that it cannot be guessed.
    EndpointId, "ep_"
);
prefixed_id!(
    /// One message that is committed with a ticket and still has to reach its queue.
    OutboxId, "out_"
);
prefixed_id!(
    /// One comment, review or pull request that the local forge or tracker keeps.
    LocalId, "loc_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_needs_its_prefix_and_a_plain_body() {
        assert!(TicketId::parse("tkt_0a9z").is_ok());
        for bad in ["tkt_", "ten_abc", "tkt_ABC", "tkt_a#b", "tkt_a/../b", ""] {
            assert!(TicketId::parse(bad).is_err(), "{bad}");
        }
        assert!(TicketId::parse(&format!("tkt_{}", "a".repeat(41))).is_err());
    }
}
