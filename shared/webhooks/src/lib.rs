#![doc = include_str!("../README.md")]

mod accept;
mod body;
mod http;
mod scheme;
mod secret;

pub use accept::{Receiver, Verification, accept};
pub use body::{MAX_BODY, pack, unpack};
pub use http::{Request, Response};
pub use scheme::{Scheme, VerifiedDelivery, VerifyError, sign, verify};
pub use secret::{SecretCache, endpoint_secret};
