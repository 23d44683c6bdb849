//! The installation's secrets in Secrets Manager: few, kept in memory for minutes, two of each live.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use domain::Timestamp;
use domain::error::{Failure, Fault};
use engine::port::{Clock, Secret, Secrets};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::access::Access;
use crate::refused::Refused;

/// How a named secret stands in Secrets Manager.
///
/// Every stored secret is a JSON object with a text under `current` and, while it is being rotated, one under
/// `next` or `previous`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Derived from a stored random text, so that one reading gives several secrets: the ARN.
    Derived(String),
    /// The stored text itself: the ARN.
    AsIs(String),
}

/// What was found at an ARN, and when.
type Known = (Timestamp, Vec<Secret>);

/// The secrets a function may read.
pub struct ManagedSecrets {
    client: Client,
    clock: Arc<dyn Clock>,
    names: BTreeMap<&'static str, Kept>,
    known: Mutex<HashMap<String, Known>>,
}

/// How long what was read is used; what is missing is asked for as seldom. A webhook whose signature does not fit may
/// have its secret read again after a minute, which must not find this.
const FRESH: Duration = Duration::from_secs(55);
/// Versions in the order in which they are tried.
const LIVE: [&str; 3] = ["current", "next", "previous"];

impl ManagedSecrets {
    /// Knows these secrets and no others.
    pub fn new(access: &Access, clock: Arc<dyn Clock>, names: impl IntoIterator<Item = (&'static str, Kept)>) -> Self {
        let names = names.into_iter().collect();
        Self { client: Client::new(access.config()), clock, names, known: Mutex::default() }
    }

    /// The live texts at an ARN, newest first.
    async fn stored(&self, arn: &str) -> Result<Vec<Secret>, Failure> {
        let now = self.clock.now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(arn).cloned();
        if let Some((at, secrets)) = known
            && now.duration_since(at).unsigned_abs() < FRESH
        {
            return Ok(secrets);
        }
        let found = match self.client.get_secret_value().secret_id(arn).send().await {
            Ok(answer) => live(answer.secret_string.map(String::into_bytes).map(Secret::new))?,
            Err(error) => {
                let refused = Refused::of(&error);
                if !refused.is("ResourceNotFoundException") {
                    return Err(refused.repeatable("a secret cannot be read"));
                }
                Vec::new()
            }
        };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(arn.to_owned(), (now, found.clone()));
        Ok(found)
    }
}

/// Reads a stored secret: at most two of its versions are live.
fn live(stored: Option<Secret>) -> Result<Vec<Secret>, Failure> {
    let shape = || Failure::new(Fault::Invalid, "a secret must be a JSON object with a text under `current`");
    let stored = stored.ok_or_else(shape)?;
    let mut all: HashMap<String, String> = serde_json::from_slice(stored.expose()).map_err(|_| shape())?;
    if !all.contains_key("current") {
        return Err(shape());
    }
    let texts = LIVE.iter().filter_map(|name| all.remove(*name)).filter(|text| !text.trim().is_empty());
    Ok(texts.take(2).map(|text| Secret::new(text.into_bytes())).collect())
}

/// What goes by a name, made from a stored random text. Hex text.
fn derived(stored: &Secret, name: &str) -> Option<Secret> {
    let mac = Hmac::<Sha256>::new_from_slice(stored.expose()).ok()?;
    let mac = mac.chain_update(b"prfactory-secret-1\0").chain_update(name);
    Some(Secret::new(hex::encode(mac.finalize().into_bytes()).into_bytes()))
}

#[async_trait]
impl Secrets for ManagedSecrets {
    async fn load(&self, name: &str) -> Result<Vec<Secret>, Failure> {
        match self.names.get(name) {
            None => Ok(Vec::new()),
            Some(Kept::AsIs(arn)) => self.stored(arn).await,
            Some(Kept::Derived(arn)) => {
                Ok(self.stored(arn).await?.iter().filter_map(|text| derived(text, name)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(stored: &str) -> Result<Vec<String>, Failure> {
        let all = live(Some(Secret::new(stored.as_bytes())))?;
        Ok(all.iter().map(|s| s.expose_text().unwrap_or("").to_owned()).collect())
    }

    #[test]
    fn two_versions_are_live_and_the_current_one_comes_first() {
        assert_eq!(texts(r#"{"current":"a"}"#).unwrap(), ["a"]);
        assert_eq!(texts(r#"{"next":"b","current":"a"}"#).unwrap(), ["a", "b"]);
        assert_eq!(texts(r#"{"previous":"z","current":"a"}"#).unwrap(), ["a", "z"]);
        assert_eq!(texts(r#"{"previous":"z","next":"b","current":"a"}"#).unwrap(), ["a", "b"]);
        assert_eq!(texts(r#"{"current":"a","next":" "}"#).unwrap(), ["a"], "a blank one is none");
        for wrong in ["", "a", "{}", r#"{"next":"b"}"#, r#"{"current":1}"#] {
            assert_eq!(texts(wrong).unwrap_err().fault, Fault::Invalid, "{wrong}");
        }
    }

    #[test]
    fn names_give_different_secrets() {
        let root = Secret::new(b"root".as_slice());
        let of = |name| derived(&root, name).unwrap().expose().to_vec();
        assert_eq!(of("sealing-key"), of("sealing-key"));
        assert_ne!(of("sealing-key"), of("github-webhook"));
        assert_eq!(of("sealing-key").len(), 64);
    }
}
