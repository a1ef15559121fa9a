//! Signing access tokens, for their issuer and for tests.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyAlgorithm, OctetKeyPairParameters, OctetKeyPairType,
    PublicKeyUse,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use crate::Claims;

/// A signing key that cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gave no randomness.
    #[error("cannot make an Ed25519 key")]
    Generate,
    /// The bytes are no Ed25519 key in PKCS#8.
    #[error("cannot read the Ed25519 key")]
    Read,
    /// The signature failed.
    #[error("cannot sign the access token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// A private key that signs access tokens.
pub struct Signer {
    header: Header,
    key: EncodingKey,
    jwk: Jwk,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.header.kid).finish_non_exhaustive()
    }
}

impl Signer {
    /// Makes a new Ed25519 key and returns it as PKCS#8, to be kept in a safe place.
    pub fn generate_pkcs8() -> Result<Vec<u8>, KeyError> {
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| KeyError::Generate)
    }

    /// Reads an Ed25519 key in PKCS#8; `kid` is the name under which its public half is published.
    pub fn from_pkcs8(kid: impl Into<String>, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Read)?;
        let kid = kid.into();
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let jwk = Jwk {
            common: CommonParameters {
                public_key_use: Some(PublicKeyUse::Signature),
                key_algorithm: Some(KeyAlgorithm::EdDSA),
                key_id: Some(kid),
                ..CommonParameters::default()
            },
            algorithm: AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
            }),
        };
        Ok(Self { header, key: EncodingKey::from_ed_der(pkcs8), jwk })
    }

    /// Returns the public half, to be published.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs the claims and returns the token.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        jsonwebtoken::encode(&self.header, claims, &self.key).map_err(KeyError::Sign)
    }
}
