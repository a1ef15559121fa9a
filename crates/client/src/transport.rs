//! Connections over HTTP/1.1, encrypted where the address says so.

use std::{io, time::Duration};

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::crypto::aws_lc_rs;

/// Connections kept to one callee; more are opened under load and closed after it.
const IDLE_CONNECTIONS: usize = 32;
/// Shorter than any usual server's keep-alive, so that a kept connection is rarely closed under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The connections to one callee.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Transport {
    /// Connects to the URL `base`: with TLS where it begins with `https`, trusting whom the system trusts, or the authorities
    /// in the file that `SSL_CERT_FILE` names.
    pub(crate) fn new(base: &str, connect_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT).pool_max_idle_per_host(IDLE_CONNECTIONS);
        // Reading the authorities takes some milliseconds, which nobody waits for who calls no such address.
        if !base.starts_with("https:") {
            return Self::Plain(builder.build(connector));
        }
        match encrypted(connector.clone()) {
            Ok(tls) => Self::Tls(builder.build(tls)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no certificate authorities: https cannot be called"
                );
                Self::Plain(builder.build(connector))
            }
        }
    }

    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        match self {
            Self::Plain(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        }
    }
}

fn encrypted(mut connector: HttpConnector) -> io::Result<HttpsConnector<HttpConnector>> {
    connector.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(aws_lc_rs::default_provider())?;
    Ok(builder.https_only().enable_http1().wrap_connector(connector))
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    /// The first byte of a TLS handshake (RFC 8446, section 5.1).
    const HANDSHAKE: u8 = 22;

    #[tokio::test]
    async fn what_is_to_be_encrypted_is_never_sent_in_the_clear() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let request = Request::get(format!("{base}/keys")).body(Full::default()).unwrap();
        let transport = Transport::new(&base, Duration::from_secs(1));
        let received = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap()
        };
        tokio::select! {
            first = received => assert_eq!(first, HANDSHAKE),
            // Where the system has no authorities.
            answer = transport.request(request) => assert!(answer.is_err()),
        }
    }
}
