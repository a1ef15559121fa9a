//! Requests and their answers, in JSON.

use std::{fmt, time::Duration};

use ::client::{Config, Http};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::{Error, address::Address, error::Denials};

/// How long a write may take: a request for a search waits less.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// A server, and what its indices are named after. Cheap to clone; connects with the first call.
#[derive(Clone)]
pub struct Client {
    searching: Http,
    /// With a breaker of its own: a server may answer and take no writes.
    writing: Http,
    headers: HeaderMap,
    prefix: String,
    denials: Denials,
}

impl Client {
    /// Opens `http[s]://[USER:PASSWORD@]HOST[:PORT][?prefix=NAME]`; searches are bounded by `config`.
    ///
    /// # Errors
    /// The URL is none of these.
    pub fn open(url: &str, config: Config) -> Result<Self, Error> {
        let Address { base, prefix, login } = Address::parse(url)?;
        let writes = Config { timeout: WRITE_TIMEOUT, retries: 1, ..config.clone() };
        Ok(Self {
            searching: Http::new(&base, config, None, "search"),
            writing: Http::new(&base, writes, None, "search-index"),
            headers: login.map(|login| (header::AUTHORIZATION, login)).into_iter().collect(),
            prefix,
            denials: Denials::default(),
        })
    }

    /// Whether the server is asked at the moment, and lets us: it has not failed too often of late. Asks nobody.
    ///
    /// # Errors
    /// What it has failed of.
    pub fn check(&self) -> Result<(), Error> {
        self.searching.check().and(self.writing.check())?;
        self.denials.check()
    }

    /// The name on the server of what is called `name` here.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Searches.
    pub(crate) async fn search(&self, path: &str, query: &Value) -> Result<Value, Error> {
        let answer = self.searching.send(Method::POST, path, self.headers.clone(), Some(query), true).await?;
        self.denials.note(path, read(answer.status, &answer.body))
    }

    /// Asks for something or changes it, which may be repeated.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let answer = self.writing.send(method, path, self.headers.clone(), body, true).await?;
        read(answer.status, &answer.body)
    }

    /// Does what lines of JSON say to an index; each has an answer of its own, which `written` reads.
    pub(crate) async fn bulk(
        &self,
        index: &str,
        path: &str,
        lines: Bytes,
        written: impl FnOnce(Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut headers = self.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        let answer = self.writing.send_bytes(Method::POST, path, headers, Some(lines), true).await?;
        self.denials.note(index, read(answer.status, &answer.body).and_then(written))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn read(status: StatusCode, body: &[u8]) -> Result<Value, Error> {
    if !status.is_success() {
        // Of something between us and the server it is perhaps no JSON.
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        return Err(Error::of(status, &body["error"]));
    }
    // The answer to HEAD has none.
    if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(body)?) }
}
