//! The public keys of the user service, or of another issuer, over HTTP.

use async_trait::async_trait;
use auth::{JwkSet, Keys};
use client::{Config, Http};
use error::Error;

/// Where access tokens' keys are published.
#[derive(Debug, Clone)]
pub struct JwksClient {
    http: Http,
    path: String,
}

impl JwksClient {
    /// Reads the keys at `url` (`http://host:port/path`); `name` is whose they are, in errors and spans.
    pub fn new(url: &str, config: Config, name: &'static str) -> Self {
        let host = url.find("://").map_or(0, |at| at + 3);
        let (base, path) = match url[host..].find('/') {
            Some(slash) => url.split_at(host + slash),
            None => (url, "/"),
        };
        Self { http: Http::new(base, config, None, name), path: path.to_owned() }
    }
}

#[async_trait]
impl Keys for JwksClient {
    async fn jwks(&self) -> Result<JwkSet, Error> {
        let unavailable = || Error::unavailable("the check of access tokens");
        let answer = self.http.get(&self.path).await.map_err(|error| unavailable().with_source(error))?;
        if !answer.status.is_success() {
            return Err(unavailable().with_source(format!("the keys' address answered {}", answer.status)));
        }
        serde_json::from_slice(&answer.body).map_err(|error| unavailable().with_source(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_found() {
        let path = |url| JwksClient::new(url, Config::default(), "user").path;
        assert_eq!(path("http://127.0.0.1:8080/.well-known/jwks.json"), "/.well-known/jwks.json");
        assert_eq!(path("http://user:8080"), "/");
    }
}
