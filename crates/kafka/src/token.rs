//! The token of OAUTHBEARER: read from its file each time that the client library asks for one.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clock::SharedClock;
use rdkafka::client::OAuthToken;
use serde_json::Value;

/// The longest token that is read; a request of 64 KiB is the longest that brokers take before a login is done.
const LONGEST: u64 = 48 * 1024;
/// The end of the year 9999, in seconds since 1970.
const LAST: u64 = 253_402_300_799;

/// A file that somebody else keeps a token in, and replaces before it expires.
pub(crate) struct TokenFile {
    path: PathBuf,
    clock: SharedClock,
}

/// Why there is no token; never what is in the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read the token of `token_file={path}`: {why}; mount it there, readable for this process")]
    Unreadable { path: PathBuf, why: io::Error },
    #[error("what `token_file={0}` holds is longer than any token: write the token alone into it")]
    TooLong(PathBuf),
    #[error("`token_file={path}` holds no JWT with {what}: write the token alone into it, as its issuer gives it")]
    Malformed { path: PathBuf, what: &'static str },
    #[error("the token of `token_file={path}` expired at {at}: put a new one there, it is read again within seconds")]
    Expired { path: PathBuf, at: String },
}

impl TokenFile {
    pub(crate) fn new(path: &Path, clock: SharedClock) -> Self {
        Self { path: path.to_owned(), clock }
    }

    /// The token that the file holds now. It is small, and blocks whoever asks no longer than reading a page does.
    pub(crate) fn read(&self) -> Result<OAuthToken, Error> {
        let path = || self.path.clone();
        let mut token = String::new();
        let mut read = || File::open(&self.path)?.take(LONGEST + 1).read_to_string(&mut token);
        match read() {
            Err(why) if why.kind() == io::ErrorKind::InvalidData => return Err(self.malformed("text in it")),
            Err(why) => return Err(Error::Unreadable { path: path(), why }),
            Ok(length) if length > usize::try_from(LONGEST).unwrap_or(usize::MAX) => {
                return Err(Error::TooLong(path()));
            }
            Ok(_) => {}
        }
        let token = token.trim();
        let claims = claims(token).ok_or_else(|| self.malformed("claims that can be read"))?;
        let principal = claims["sub"].as_str().filter(|sub| !sub.is_empty() && !sub.contains('\0'));
        let principal_name = principal.ok_or_else(|| self.malformed("the claim `sub`"))?.to_owned();
        let expires = expiry(&claims["exp"]).ok_or_else(|| self.malformed("the claim `exp`, in seconds since 1970"))?;
        let at = clock::from_micros(i64::try_from(expires.as_micros()).unwrap_or(i64::MAX));
        if at <= self.clock.now() {
            return Err(Error::Expired { path: path(), at: clock::rfc3339(at) });
        }
        let lifetime_ms = i64::try_from(expires.as_millis()).unwrap_or(i64::MAX);
        Ok(OAuthToken { token: token.to_owned(), principal_name, lifetime_ms })
    }

    fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed { path: self.path.clone(), what }
    }
}

/// What a JWT says, unverified: the brokers do that. Every character of it is one of base64 or a dot.
fn claims(token: &str) -> Option<Value> {
    let parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part)).collect::<Result<Vec<_>, _>>().ok()?;
    let [_, claims, _] = &parts[..] else { return None };
    serde_json::from_slice(claims).ok()
}

/// A `NumericDate` of RFC 7519, which may have a fraction.
fn expiry(exp: &Value) -> Option<Duration> {
    let whole = exp.as_u64().map(Duration::from_secs);
    let expires = whole.or_else(|| Duration::try_from_secs_f64(exp.as_f64()?).ok())?;
    (expires.as_secs() <= LAST).then_some(expires)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn token(claims: &str) -> String {
        format!("{}.{}.{}", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"), URL_SAFE_NO_PAD.encode(claims), "c2lnbmVk")
    }

    fn read(content: impl AsRef<[u8]>) -> Result<OAuthToken, Error> {
        let folder = testkit::temp_dir();
        let file = folder.path().join("token");
        fs::write(&file, content).unwrap();
        TokenFile::new(&file, clock::system()).read()
    }

    #[test]
    fn lifetime_and_principal_are_those_of_the_claims() {
        for (exp, lifetime) in [("4102444800", 4_102_444_800_000), ("4102444800.25", 4_102_444_800_250)] {
            let token = token(&format!("{{\"sub\":\"order\",\"exp\":{exp}}}"));
            let read = read(format!("{token}\n")).unwrap();
            assert_eq!((read.token, read.principal_name.as_str(), read.lifetime_ms), (token, "order", lifetime));
        }
    }

    #[test]
    fn a_bad_token_says_what_to_do_and_not_what_it_is() {
        let with = |claims: &str| token(claims).into_bytes();
        for (content, said) in [
            (with("{\"sub\":\"order\",\"exp\":1700000000}"), "expired at 2023-11-14T22:13:20"),
            (with("{\"sub\":\"order\"}"), "no JWT with the claim `exp`"),
            (with("{\"sub\":\"order\",\"exp\":\"4102444800\"}"), "no JWT with the claim `exp`"),
            (with("{\"sub\":\"order\",\"exp\":1e300}"), "no JWT with the claim `exp`"),
            (with("{\"sub\":\"order\",\"exp\":-1}"), "no JWT with the claim `exp`"),
            (with("{\"sub\":\"\",\"exp\":4102444800}"), "no JWT with the claim `sub`"),
            (with("[]"), "no JWT with the claim `sub`"),
            (b"hush.hush".to_vec(), "no JWT with claims that can be read"),
            (b"a.b c.d".to_vec(), "no JWT with claims that can be read"),
            (vec![0xff, 0xfe], "no JWT with text in it"),
            (Vec::new(), "no JWT with claims that can be read"),
            (vec![b'a'; 50_000], "longer than any token"),
        ] {
            let error = read(&content).err().unwrap().to_string();
            let hidden = String::from_utf8_lossy(&content);
            assert!(error.contains(said), "{error}");
            assert!(hidden.is_empty() || !error.contains(&*hidden), "{error}");
        }
        let error = TokenFile::new(Path::new("/nowhere/token"), clock::system()).read().err().unwrap().to_string();
        assert!(error.contains("cannot read the token of `token_file=/nowhere/token`: No such file"), "{error}");
    }
}
