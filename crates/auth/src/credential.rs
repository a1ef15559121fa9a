//! What a service shows to another one.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use http::HeaderValue;

/// The header, and gRPC metadata key, that carries a [`Credential`].
pub const CREDENTIAL_HEADER: &str = "x-service-credential";

/// The credential of a service: its name and a proof that it knows the secret that the services share.
///
/// Its form is `<caller>.<hex of HMAC-SHA-256(secret, caller)>`.
#[derive(Clone)]
pub struct Credential(HeaderValue);

impl Credential {
    /// Makes the credential of `caller`, a name of letters, digits and `-`.
    pub fn new(secret: &str, caller: &str) -> Self {
        let key = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
        let proof = hex::encode(hmac::sign(&key, caller.as_bytes()));
        let mut value = HeaderValue::try_from(format!("{caller}.{proof}"))
            // A name that is no header text is nobody's; its credential is refused everywhere.
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        Self(value)
    }

    /// Returns the value of the header [`CREDENTIAL_HEADER`].
    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(***)")
    }
}
