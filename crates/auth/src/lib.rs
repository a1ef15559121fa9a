//! Who calls: access tokens of people and credentials of services.
//!
//! A person shows an access token, a short-lived JWT signed with Ed25519; [`Verifier`] checks it against the issuer's
//! published keys and gives the [`Identity`]. A service shows a [`Credential`], made from a secret that the services
//! share; [`Callers`] checks it and says which service it is.
//!
//! ```
//! use auth::{Callers, Credential};
//!
//! let order = Credential::new("a shared secret", "order");
//! let mut headers = http::HeaderMap::new();
//! headers.insert(auth::CREDENTIAL_HEADER, order.header_value());
//!
//! let callers = Callers::new("a shared secret", &["order", "trireme"]);
//! assert_eq!(callers.check(&headers)?.name(), "order");
//! # Ok::<(), error::Error>(())
//! ```
#![warn(missing_docs)]

mod callers;
mod claims;
mod credential;
mod identity;
mod keys;
mod signer;
mod verifier;

pub use callers::{Caller, CallerInterceptor, Callers, require_caller};
pub use claims::{AUDIENCE, Claims, ISSUER, Role};
pub use credential::{CREDENTIAL_HEADER, Credential};
pub use identity::{Identity, Operator, bearer};
pub use jsonwebtoken::jwk::{Jwk, JwkSet};
pub use keys::Keys;
pub use signer::{KeyError, Signer};
pub use verifier::Verifier;
