//! `Webhook-Signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<raw body>">`.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use error::{Error, Kind};
use http::HeaderMap;
use time::OffsetDateTime;

/// The header's name.
pub const HEADER: &str = "webhook-signature";

/// How far a signature's time may be off, past or future.
const WINDOW_SECONDS: u64 = 300;

/// Checks signatures made with one secret.
#[derive(Debug, Clone)]
pub struct Signatures(hmac::Key);

/// A signature that is neither too old nor too new.
#[derive(Debug)]
pub struct Signature {
    time: String,
    proofs: Vec<Vec<u8>>,
}

impl Signatures {
    /// Makes the check for the secret that is shared with the provider.
    pub fn new(secret: &str) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, secret.as_bytes()))
    }

    /// Reads the header, before the body is.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`]: there is none, it cannot be read, or its time is off.
    pub fn read(&self, headers: &HeaderMap, now: OffsetDateTime) -> Result<Signature, Error> {
        let mut values = headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refused());
        };
        let signature = value.to_str().ok().and_then(parse).ok_or_else(refused)?;
        let seconds: i64 = signature.time.parse().map_err(|_| refused())?;
        if now.unix_timestamp().abs_diff(seconds) > WINDOW_SECONDS {
            return Err(refused());
        }
        Ok(signature)
    }

    /// Checks the signature against the raw body, in constant time.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`]: it is not ours.
    pub fn check(&self, signature: &Signature, body: &[u8]) -> Result<(), Error> {
        let message = [signature.time.as_bytes(), b".", body].concat();
        let good = |proof: &Vec<u8>| hmac::verify(&self.0, &message, proof).is_ok();
        signature.proofs.iter().any(good).then_some(()).ok_or_else(refused)
    }

    /// Signs a body, as the provider does.
    pub fn sign(&self, now: OffsetDateTime, body: &[u8]) -> String {
        let time = now.unix_timestamp().to_string();
        let proof = hmac::sign(&self.0, &[time.as_bytes(), b".", body].concat());
        format!("t={time},v1={}", hex::encode(proof))
    }
}

/// Takes one `t` and at least one `v1`; other parts are for other versions.
fn parse(header: &str) -> Option<Signature> {
    let (mut time, mut proofs) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", text) if time.is_none() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                time = Some(text.to_owned());
            }
            ("t", _) => return None,
            ("v1", proof) => proofs.push(hex::decode(proof).ok()?),
            _ => {}
        }
    }
    Some(Signature { time: time?, proofs })
}

fn refused() -> Error {
    Error::new(Kind::Unauthenticated, "the webhook has no good signature")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn verdict(header: &str, body: &[u8]) -> Result<(), Error> {
        let signatures = Signatures::new("secret");
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(header).unwrap());
        let signature = signatures.read(&headers, at(NOW))?;
        signatures.check(&signature, body)
    }

    #[test]
    fn a_good_signature_passes() {
        let header = Signatures::new("secret").sign(at(NOW), b"{}");
        assert!(verdict(&header, b"{}").is_ok());
    }

    #[test]
    fn it_is_the_documented_mac() {
        // printf '1800000000.{}' | openssl dgst -sha256 -hmac secret
        let mac = "bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7";
        let header = Signatures::new("secret").sign(at(NOW), b"{}");
        assert_eq!(header, format!("t=1800000000,v1={mac}"));
    }

    #[test]
    fn another_body_secret_or_time_fails() {
        let good = Signatures::new("secret").sign(at(NOW), b"{}");
        assert!(verdict(&good, b"{ }").is_err());
        assert!(verdict(&Signatures::new("guess").sign(at(NOW), b"{}"), b"{}").is_err());
        assert!(verdict(&good.replace("t=1800000000", "t=1800000001"), b"{}").is_err());
    }

    #[test]
    fn five_minutes_either_way_pass_and_a_second_more_does_not() {
        let signed = |seconds| Signatures::new("secret").sign(at(seconds), b"{}");
        for (seconds, good) in [(NOW - 300, true), (NOW + 300, true), (NOW - 301, false), (NOW + 301, false)] {
            assert_eq!(verdict(&signed(seconds), b"{}").is_ok(), good, "{seconds}");
        }
    }

    #[test]
    fn nonsense_fails() {
        for header in [
            "",
            "t=1800000000",
            "v1=00",
            "t=,v1=00",
            "t=-5,v1=00",
            "t=99999999999999999999,v1=00",
            "t=1800000000,v1=xyz",
            "t=1800000000,t=1800000000,v1=00",
            "nonsense",
        ] {
            assert!(verdict(header, b"{}").is_err(), "{header}");
        }
    }
}
