//! Issuers outside of this system, such as Keycloak: which of their tokens count, and what they say.

use aws_lc_rs::digest::{Context, SHA256};
use error::Error;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Identity, Role,
    refused::{Refusal, refused},
};

/// An issuer of access tokens that is trusted with everybody's identity and role.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `iss` of its tokens.
    pub issuer: String,
    /// What has to be in `aud` of its tokens.
    pub audience: String,
    /// The claim with a person's roles, one word or a list of words: its name, such as `https://shop.example/roles`, or the
    /// path to it, such as `realm_access.roles`. Who has `operator` among them is one.
    pub role_claim: String,
}

/// How far the issuer's clock may be ahead of ours for a token that counts from when it was made (RFC 7519, section 4.1.5).
const LEEWAY_SECONDS: i64 = 60;

impl Issuer {
    /// Reads the claims of a token whose signature, issuer and audience are right.
    pub(crate) fn identity(&self, claims: &Value, now: i64) -> Result<Identity, Error> {
        // Keycloak signs its ID tokens with the same keys and header, and says here what they are.
        if claims.get("typ").is_some_and(|typ| typ != "Bearer") {
            return Err(refused(Refusal::OtherType));
        }
        let subject = claims["sub"].as_str().filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| refused(Refusal::NoSubject))?;
        // RFC 7519, section 2: a NumericDate need not be an integer, and everybody's is.
        let number = |name: &str| claims[name].as_i64();
        let expires_at = number("exp").and_then(|exp| time::OffsetDateTime::from_unix_timestamp(exp).ok());
        let expires_at = expires_at.ok_or_else(|| refused(Refusal::NoExpiry))?;
        if !claims["nbf"].is_null() && number("nbf").is_none_or(|nbf| now.saturating_add(LEEWAY_SECONDS) < nbf) {
            return Err(refused(Refusal::NotYet));
        }
        let session = claims["sid"].as_str().and_then(|sid| Uuid::try_parse(sid).ok()).unwrap_or_default();
        Ok(Identity { user_id: self.user_id(subject), role: self.role(claims), session, expires_at })
    }

    /// The id of a subject, whatever form the issuer gives those: a `UUIDv8` of the first half of
    /// SHA-256(issuer ‖ 0 ‖ subject). So it is nobody's who has an account here, though the subject should read like that.
    fn user_id(&self, subject: &str) -> Uuid {
        let mut hash = Context::new(&SHA256);
        hash.update(self.issuer.as_bytes());
        hash.update(&[0]);
        hash.update(subject.as_bytes());
        let half = hash.finish().as_ref().first_chunk().copied().unwrap_or_default();
        uuid::Builder::from_custom_bytes(half).into_uuid()
    }

    fn role(&self, claims: &Value) -> Role {
        let nested = || self.role_claim.split('.').try_fold(claims, |claims, name| claims.get(name));
        // A name first: those of OpenID Connect that nobody else has are URLs, with dots of their own.
        let found = claims.get(&self.role_claim).or_else(nested);
        let is_operator = |value: &Value| value.as_str() == Some(Role::Operator.as_str());
        let operator = match found {
            Some(Value::Array(roles)) => roles.iter().any(is_operator),
            Some(role) => is_operator(role),
            None => false,
        };
        if operator { Role::Operator } else { Role::Customer }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issuer(role_claim: &str) -> Issuer {
        let (issuer, audience) = ("https://id.example/realms/shop".to_owned(), "trireme".to_owned());
        Issuer { issuer, audience, role_claim: role_claim.to_owned() }
    }

    #[test]
    fn roles_are_found_wherever_they_are_kept() {
        for (path, claims) in [
            ("role", json!({"role": "operator"})),
            ("roles", json!({"roles": ["customer", "operator"]})),
            ("realm_access.roles", json!({"realm_access": {"roles": ["operator"]}})),
            ("https://shop.example/roles", json!({"https://shop.example/roles": ["operator"]})),
        ] {
            assert_eq!(issuer(path).role(&claims), Role::Operator, "{claims}");
        }
        for claims in
            [json!({}), json!({"roles": "operators"}), json!({"roles": [["operator"]]}), json!({"roles": true})]
        {
            assert_eq!(issuer("roles").role(&claims), Role::Customer, "{claims}");
        }
    }

    #[test]
    fn an_id_depends_on_issuer_and_subject_and_is_nobody_elses() {
        let (one, own) = (issuer("role"), Uuid::now_v7().to_string());
        let other = Issuer { issuer: "https://other.example".to_owned(), ..one.clone() };
        assert_eq!(one.user_id(&own), one.user_id(&own));
        assert_ne!(one.user_id(&own), other.user_id(&own));
        assert_ne!(one.user_id(&own).to_string(), own);
        assert_eq!(one.user_id("auth0|1").get_version_num(), 8);
    }
}
