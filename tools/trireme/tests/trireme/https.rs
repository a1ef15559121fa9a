//! The tool over TLS: it goes on where it trusts the authority, and nowhere else.

use std::{path::Path, process::Output, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

/// Answers everything with 404, over TLS, until the test ends.
async fn serve(listener: TcpListener, tls: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        // Who does not trust us hangs up.
        let Ok(mut stream) = tls.accept(stream).await else { continue };
        let mut request = [0; 4096];
        drop(stream.read(&mut request).await);
        drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await);
        drop(stream.shutdown().await);
    }
}

async fn smoke(url: &str, authority: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trireme"));
    command.args(["smoke", url]).env("SSL_CERT_FILE", authority).env_remove("SSL_CERT_DIR").output().await.unwrap()
}

#[tokio::test]
async fn the_authority_decides() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let CertifiedKey { cert: other, .. } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.pem"), folder.path().join("theirs.pem"));
    std::fs::write(&ours, cert.pem()).unwrap();
    std::fs::write(&theirs, other.pem()).unwrap();
    let asked = async { (smoke(&url, &ours).await, smoke(&url, &theirs).await) };
    let (trusted, distrusted) = tokio::select! {
        asked = asked => asked,
        () = serve(listener, TlsAcceptor::from(Arc::new(config))) => unreachable!("it listens"),
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!trusted.status.success() && said(&trusted).contains("signing up: expected [201], got 404"), "{trusted:?}");
    assert!(!distrusted.status.success() && said(&distrusted).contains("certificate"), "{distrusted:?}");
}
