#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod callers;
mod claims;
mod credential;
mod extract;
mod identity;
mod issuer;
mod keys;
mod refused;
mod signer;
mod verifier;

pub use callers::{Caller, CallerInterceptor, Callers, for_operators, require_caller};
pub use claims::{AUDIENCE, Claims, ISSUER, Role};
pub use credential::{CREDENTIAL_HEADER, Credential};
pub use identity::{Identity, Operator, bearer};
pub use issuer::Issuer;
pub use jsonwebtoken::jwk::{Jwk, JwkSet};
pub use keys::Keys;
pub use signer::{KeyError, Signer};
pub use verifier::Verifier;
