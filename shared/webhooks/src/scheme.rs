//! The signature schemes; each signs the raw body with HMAC-SHA256 and differs in its header.

use domain::hash::ContentHash;
use engine::port::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::http::Request;

/// How a provider signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `X-Hub-Signature-256`.
    Github,
    /// `X-Hub-Signature`, as `WebSub` has it and Jira uses it.
    WebSub,
}

impl Scheme {
    /// The one header that carries the signature, in lower case.
    pub fn header(self) -> &'static str {
        match self {
            Self::Github => "x-hub-signature-256",
            Self::WebSub => "x-hub-signature",
        }
    }
}

/// A body whose signature held. Only [`verify`] makes one; nothing parses a delivery without it.
#[derive(Debug)]
pub struct VerifiedDelivery {
    body: Vec<u8>,
}

impl VerifiedDelivery {
    /// The raw bytes that were signed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The hash of the raw bytes.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(&self.body)
    }
}

/// Why a signature is not believed. The sender learns no more than 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// No signature header.
    #[error("there is no signature header")]
    Missing,
    /// More than one signature header.
    #[error("there is more than one signature header")]
    Several,
    /// Not `sha256=` and 64 lower-case hex digits.
    #[error("the signature is malformed")]
    Malformed,
    /// There is no usable secret to check with; never a reason to accept.
    #[error("there is no secret to check the signature with")]
    NoSecret,
    /// No live secret gives this signature.
    #[error("the signature does not fit the body")]
    Mismatch,
}

/// Checks the signature of a request's raw body against the live secrets, in constant time.
pub fn verify(scheme: Scheme, request: &Request, secrets: &[Secret]) -> Result<VerifiedDelivery, VerifyError> {
    let mut values = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(scheme.header()));
    let (_, value) = values.next().ok_or(VerifyError::Missing)?;
    if values.next().is_some() {
        return Err(VerifyError::Several);
    }
    let digits = value.strip_prefix("sha256=").ok_or(VerifyError::Malformed)?;
    let lower = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits.len() != 64 || !lower {
        return Err(VerifyError::Malformed);
    }
    let signature = hex::decode(digits).map_err(|_| VerifyError::Malformed)?;
    let usable: Vec<&Secret> = secrets.iter().filter(|secret| !secret.is_blank()).collect();
    if usable.is_empty() {
        return Err(VerifyError::NoSecret);
    }
    let fits = |secret: &&Secret| {
        Hmac::<Sha256>::new_from_slice(secret.expose())
            .is_ok_and(|mac| mac.chain_update(&request.body).verify_slice(&signature).is_ok())
    };
    if usable.iter().any(fits) {
        Ok(VerifiedDelivery { body: request.body.clone() })
    } else {
        Err(VerifyError::Mismatch)
    }
}

/// Signs a body as a provider would: `sha256=` and 64 hex digits.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    match Hmac::<Sha256>::new_from_slice(secret.expose()) {
        Ok(mac) => format!("sha256={}", hex::encode(mac.chain_update(body).finalize().into_bytes())),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    /// From GitHub's documentation of webhook validation.
    const GITHUB: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    /// From the `WebSub` vector for `Hello World!` under the same secret.
    const WEBSUB: &str = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";

    fn request(headers: &[(&str, &str)], body: &str) -> Request {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request { method: "POST".to_owned(), path: "/".to_owned(), headers, body: body.as_bytes().to_vec() }
    }

    fn check(scheme: Scheme, headers: &[(&str, &str)], body: &str, secret: &str) -> Result<(), VerifyError> {
        verify(scheme, &request(headers, body), &[Secret::new(secret.as_bytes())]).map(|_| ())
    }

    #[test]
    fn the_published_vectors_hold() {
        assert_eq!(check(Scheme::Github, &[("X-Hub-Signature-256", GITHUB)], "Hello, World!", SECRET), Ok(()));
        assert_eq!(check(Scheme::WebSub, &[("X-Hub-Signature", WEBSUB)], "Hello World!", SECRET), Ok(()));
        assert_eq!(sign(&Secret::new(SECRET.as_bytes()), b"Hello, World!"), GITHUB);
    }

    #[test]
    fn one_bit_anywhere_breaks_it() {
        let header = [("x-hub-signature-256", GITHUB)];
        assert_eq!(check(Scheme::Github, &header, "Hello, World?", SECRET), Err(VerifyError::Mismatch));
        assert_eq!(
            check(Scheme::Github, &header, "Hello, World!", "Jt's a Secret to Everybody"),
            Err(VerifyError::Mismatch)
        );
        for at in 7..GITHUB.len() {
            let mut flipped = GITHUB.to_owned().into_bytes();
            flipped[at] = if flipped[at] == b'0' { b'1' } else { b'0' };
            let flipped = String::from_utf8(flipped).unwrap();
            let result = check(Scheme::Github, &[("x-hub-signature-256", &flipped)], "Hello, World!", SECRET);
            assert_eq!(result, Err(VerifyError::Mismatch), "digit {at}");
        }
    }

    #[test]
    fn malformed_missing_and_doubled_headers_are_refused() {
        let upper = GITHUB.to_uppercase();
        let sha1 = GITHUB.replace("sha256", "sha1");
        let cases: [(&[(&str, &str)], VerifyError); 6] = [
            (&[], VerifyError::Missing),
            (&[("x-hub-signature", GITHUB)], VerifyError::Missing),
            (&[("x-hub-signature-256", GITHUB), ("X-Hub-Signature-256", GITHUB)], VerifyError::Several),
            (&[("x-hub-signature-256", &upper)], VerifyError::Malformed),
            (&[("x-hub-signature-256", &sha1)], VerifyError::Malformed),
            (&[("x-hub-signature-256", "sha256=")], VerifyError::Malformed),
        ];
        for (headers, error) in cases {
            assert_eq!(check(Scheme::Github, headers, "Hello, World!", SECRET), Err(error), "{headers:?}");
        }
    }

    #[test]
    fn no_secret_fails_closed() {
        let signed_with_nothing = sign(&Secret::new(b"".as_slice()), b"x");
        for secret in ["", " \n\t"] {
            let header = [("x-hub-signature-256", signed_with_nothing.as_str())];
            assert_eq!(check(Scheme::Github, &header, "x", secret), Err(VerifyError::NoSecret));
        }
        let none = verify(Scheme::Github, &request(&[("x-hub-signature-256", GITHUB)], "Hello, World!"), &[]);
        assert!(matches!(none, Err(VerifyError::NoSecret)));
    }

    #[test]
    fn either_of_two_live_secrets_fits() {
        let live = [Secret::new(b"new".as_slice()), Secret::new(SECRET.as_bytes())];
        let request = request(&[("x-hub-signature-256", GITHUB)], "Hello, World!");
        assert!(verify(Scheme::Github, &request, &live).is_ok());
    }
}
