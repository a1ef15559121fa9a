//! `Webhook-Signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<raw body>">`.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::SHA256_OUTPUT_LEN,
    hmac::{self, HMAC_SHA256},
};
use error::{Error, Problem};
use http::HeaderMap;
use time::OffsetDateTime;

/// The header's name.
pub const HEADER: &str = "webhook-signature";

/// How far a signature's time may be off, past or future: a recorded request cannot be replayed for longer.
const TOLERANCE_SECONDS: u64 = 300;

/// Codes that a signature may have: one for each secret that the provider signs with, which are two while it rotates them.
const MAX_CODES: usize = 5;

/// Bytes of a body that are hashed before other tasks have their turn, about 0.1 ms.
const TURN: usize = 64 * 1024;

/// HMAC-SHA-256 of a message.
type Code = [u8; SHA256_OUTPUT_LEN];

/// The key of the webhooks' signatures.
#[derive(Debug, Clone)]
pub struct SigningKey(hmac::Key);

/// A signature of an acceptable time, whose code is not verified yet.
#[derive(Debug)]
pub struct Signature {
    /// As it was sent: the code covers these bytes.
    time: String,
    /// At most [`MAX_CODES`].
    codes: Vec<Code>,
}

impl SigningKey {
    /// Makes the key of the secret that is shared with the provider.
    pub fn new(secret: &str) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, secret.as_bytes()))
    }

    /// Reads the header, before the body is.
    ///
    /// # Errors
    /// [`Problem::SignatureInvalid`]: there is none, it cannot be read, or its time is off.
    pub fn read(&self, headers: &HeaderMap, now: OffsetDateTime) -> Result<Signature, Error> {
        let mut values = headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refused());
        };
        let signature = value.to_str().ok().and_then(parse).ok_or_else(refused)?;
        let seconds: i64 = signature.time.parse().map_err(|_| refused())?;
        if now.unix_timestamp().abs_diff(seconds) > TOLERANCE_SECONDS {
            return Err(refused());
        }
        Ok(signature)
    }

    /// Verifies the signature of the raw body, in constant time. Whoever calls is a stranger until then: the body is hashed
    /// once, and other tasks have their turn meanwhile.
    ///
    /// # Errors
    /// [`Problem::SignatureInvalid`]: no code was made with this key.
    pub async fn verify(&self, signature: &Signature, body: &[u8]) -> Result<(), Error> {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(signature.time.as_bytes());
        context.update(b".");
        for turn in body.chunks(TURN) {
            context.update(turn);
            tokio::task::yield_now().await;
        }
        let made = context.sign();
        let valid = |code: &Code| verify_slices_are_equal(code, made.as_ref()).is_ok();
        signature.codes.iter().any(valid).then_some(()).ok_or_else(refused)
    }

    /// Signs a body, as the provider does.
    pub fn sign(&self, now: OffsetDateTime, body: &[u8]) -> String {
        let time = now.unix_timestamp().to_string();
        let code = hmac::sign(&self.0, &[time.as_bytes(), b".", body].concat());
        format!("t={time},v1={}", hex::encode(code))
    }
}

/// Takes one `t`, and each `v1` of at most [`MAX_CODES`]; other elements are of other versions of the scheme.
fn parse(header: &str) -> Option<Signature> {
    let (mut time, mut codes) = (None, Vec::new());
    for element in header.split(',') {
        match element.trim().split_once('=')? {
            ("t", text) if time.is_none() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                time = Some(text.to_owned());
            }
            ("v1", text) if codes.len() < MAX_CODES => {
                let mut code = Code::default();
                hex::decode_to_slice(text, &mut code).ok()?;
                codes.push(code);
            }
            ("t" | "v1", _) => return None,
            _ => {}
        }
    }
    Some(Signature { time: time?, codes })
}

fn refused() -> Error {
    Error::new(Problem::SignatureInvalid, "the webhook has no valid signature")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http::HeaderValue;
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    /// What a task comes to, and in how many turns.
    fn in_turns<T>(task: impl Future<Output = T>) -> (T, usize) {
        let mut task = std::pin::pin!(task);
        let mut turns = std::iter::repeat_with(|| task.as_mut().now_or_never()).enumerate();
        let (before, result) = turns.find_map(|(before, result)| Some((before, result?))).unwrap();
        (result, before + 1)
    }

    fn verify(header: &str, body: &[u8]) -> Result<(), Error> {
        let key = SigningKey::new("secret");
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(header).unwrap());
        let signature = key.read(&headers, at(NOW))?;
        in_turns(key.verify(&signature, body)).0
    }

    #[test]
    fn a_valid_signature_passes() {
        let header = SigningKey::new("secret").sign(at(NOW), b"{}");
        assert!(verify(&header, b"{}").is_ok());
    }

    #[test]
    fn it_is_the_documented_mac() {
        // printf '1800000000.{}' | openssl dgst -sha256 -hmac secret
        let mac = "bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7";
        let header = SigningKey::new("secret").sign(at(NOW), b"{}");
        assert_eq!(header, format!("t=1800000000,v1={mac}"));
    }

    #[test]
    fn another_body_secret_or_time_fails() {
        let valid = SigningKey::new("secret").sign(at(NOW), b"{}");
        assert!(verify(&valid, b"{ }").is_err());
        assert!(verify(&SigningKey::new("guess").sign(at(NOW), b"{}"), b"{}").is_err());
        assert!(verify(&valid.replace("t=1800000000", "t=1800000001"), b"{}").is_err());
    }

    #[test]
    fn five_minutes_either_way_pass_and_a_second_more_does_not() {
        let signed = |seconds| SigningKey::new("secret").sign(at(seconds), b"{}");
        for (seconds, accepted) in [(NOW - 300, true), (NOW + 300, true), (NOW - 301, false), (NOW + 301, false)] {
            assert_eq!(verify(&signed(seconds), b"{}").is_ok(), accepted, "{seconds}");
        }
    }

    #[test]
    fn a_stranger_makes_us_compare_five_codes_and_no_more() {
        let valid = SigningKey::new("secret").sign(at(NOW), b"{}");
        let (time, code) = valid.split_once(',').unwrap();
        let others = |count| format!(",v1={}", "00".repeat(SHA256_OUTPUT_LEN)).repeat(count);
        assert!(verify(&format!("{time}{},{code}", others(4)), b"{}").is_ok());
        assert!(verify(&format!("{time}{},{code}", others(5)), b"{}").is_err());
        assert!(verify(&format!("{time},{code}{}", others(5)), b"{}").is_err());
    }

    #[test]
    fn a_long_body_is_hashed_in_turns() {
        let (key, body) = (SigningKey::new("secret"), vec![b' '; 1024 * 1024]);
        let signature = parse(&key.sign(at(NOW), &body)).unwrap();
        let (verified, turns) = in_turns(key.verify(&signature, &body));
        assert!(verified.is_ok());
        assert!(turns >= body.len() / TURN, "{turns}");
    }

    proptest! {
        #[test]
        fn whatever_comes_as_a_signature_is_read_or_refused(
            bytes in vec(any::<u8>(), 0..200), elements in vec("(t|v1|v0|[a-z]{0,3})=?[0-9a-f +-]{0,70}", 0..9),
        ) {
            for header in [bytes, elements.join(",").into_bytes()] {
                let mut headers = HeaderMap::new();
                let Ok(value) = HeaderValue::from_bytes(&header) else { continue };
                headers.insert(HEADER, value);
                let key = SigningKey::new("secret");
                if let Ok(signature) = key.read(&headers, at(NOW)) {
                    prop_assert!(signature.codes.len() <= MAX_CODES);
                    let refused = in_turns(key.verify(&signature, b"{}")).0.is_err();
                    prop_assert!(refused, "{header:?}");
                }
            }
        }

        /// A signature with a change fails, or is another way of writing the same; with another body it fails in any case.
        #[test]
        fn a_changed_signature_says_no_more(
            at_byte in any::<Index>(), inserted in "[a-zA-Z0-9,= ]{0,3}", removed in 0..3_usize, body in vec(any::<u8>(), 0..99),
        ) {
            let valid = SigningKey::new("secret").sign(at(NOW), b"{}");
            let from = at_byte.index(valid.len());
            let rest = &valid[(from + removed).min(valid.len())..];
            let changed = format!("{}{inserted}{rest}", &valid[..from]);
            let refused = body == b"{}" || verify(&changed, &body).is_err();
            prop_assert!(refused, "{}", changed);
            if verify(&changed, b"{}").is_ok() {
                let (was, is) = (parse(&valid).unwrap(), parse(&changed).unwrap());
                prop_assert!(is.time.parse::<i64>() == was.time.parse() && is.codes.contains(&was.codes[0]), "{changed}");
            }
        }
    }

    #[test]
    fn nonsense_fails() {
        let valid = SigningKey::new("secret").sign(at(NOW), b"{}");
        let code = valid.split_once(',').unwrap().1;
        for header in [
            // A valid code does not help where the time is missing or there twice, or anything else cannot be read.
            code,
            &format!("t=1800000000,{valid}"),
            &format!("{valid},nonsense"),
            &format!("{valid},v1=xyz"),
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
            assert!(verify(header, b"{}").is_err(), "{header}");
        }
    }
}
