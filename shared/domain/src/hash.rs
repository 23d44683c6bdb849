//! Content hashes: what an approval names, what a blob is addressed by.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// SHA-256 of some bytes, 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(String);

/// Text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a content hash is 64 lower-case hex digits")]
pub struct HashError;

impl ContentHash {
    /// Hashes bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// Hashes the JSON of a value; struct field order is fixed, so the same value gives the same hash.
    pub fn of_json<T: Serialize>(value: &T) -> Self {
        Self::of(&serde_json::to_vec(value).unwrap_or_default())
    }

    /// Reads a full hash.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(HashError)
        }
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits: what people read and type.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// Says whether a prefix that a person typed names this hash.
    pub fn matches(&self, prefix: &HashPrefix) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ContentHash {
    type Error = HashError;
    fn try_from(text: String) -> Result<Self, HashError> {
        Self::parse(&text)
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.0
    }
}

/// The start of a content hash as a person types it: 12 to 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HashPrefix(String);

impl HashPrefix {
    /// Fewest digits that are accepted, so that nobody can forge a plan with the same prefix.
    pub const MIN: usize = 12;

    /// Reads a prefix; upper case is folded.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let ok = (Self::MIN..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        ok.then_some(Self(text))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_lower_case_hex_digits_and_nothing_else() {
        let text = "0123456789abcdef".repeat(4);
        let hash = ContentHash::parse(&text).unwrap();
        assert_eq!((hash.as_str(), hash.short()), (text.as_str(), "0123456789ab"));
        assert_eq!((hash.to_string(), String::from(hash)), (text.clone(), text.clone()));
        for bad in [&"0".repeat(63), &"0".repeat(65), &text.to_uppercase(), &"g".repeat(64), ""] {
            assert_eq!(ContentHash::parse(bad), Err(HashError), "{bad:?}");
        }
    }

    #[test]
    fn a_hash_is_named_by_12_to_64_of_its_first_digits() {
        let hash = ContentHash::of(b"a plan");
        let first = |length: usize| hash.as_str().chars().take(length).collect::<String>();
        for length in [12, 13, 64] {
            let typed = HashPrefix::parse(&first(length).to_uppercase()).unwrap();
            assert_eq!(typed.as_str(), first(length), "upper case is folded");
            assert!(hash.matches(&typed) && !ContentHash::of(b"another").matches(&typed));
        }
        for bad in [first(11).as_str(), &format!("{hash}0"), "xyzxyzxyzxyz", "9f2c41ab00d-", ""] {
            assert_eq!(HashPrefix::parse(bad), None, "{bad:?}");
        }
    }
}
