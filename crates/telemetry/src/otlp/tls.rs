//! Whom a collector is known by, and who we are: the files of `OTEL_EXPORTER_OTLP_CERTIFICATE` and its like.

use std::{fs, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::variables::Variables;
use crate::Error;

/// What was given for a signal.
pub(super) struct Tls {
    authorities: Option<Vec<u8>>,
    own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn read(variables: &Variables, signal: &str) -> Result<Self, Error> {
        let file = |name: &str| {
            let Some(path) = variables.of_signal(signal, name) else { return Ok(None) };
            let refused = |error| refused(name, format!("{path} cannot be read: {error}"));
            fs::read(path).map(Some).map_err(refused)
        };
        let own = match (file("CLIENT_CERTIFICATE")?, file("CLIENT_KEY")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(refused("CLIENT_CERTIFICATE", "its key is missing".to_owned())),
            (None, Some(_)) => return Err(refused("CLIENT_KEY", "its certificate is missing".to_owned())),
        };
        Ok(Self { authorities: file("CERTIFICATE")?, own })
    }

    /// For gRPC.
    pub(super) fn grpc(self) -> ClientTlsConfig {
        let tls = match self.authorities {
            Some(authorities) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match self.own {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        }
    }

    /// For HTTP.
    pub(super) fn http(self) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let unusable = |name: &'static str| move |error: rustls::Error| refused(name, error.to_string());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable("CERTIFICATE"))?;
        let builder = builder.with_root_certificates(self.roots()?);
        let Some((certificate, key)) = self.own else { return Ok(builder.with_no_client_auth()) };
        let certificates = certificates("CLIENT_CERTIFICATE", &certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| refused("CLIENT_KEY", error.to_string()))?;
        builder.with_client_auth_cert(certificates, key).map_err(unusable("CLIENT_CERTIFICATE"))
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let given = self.authorities.as_deref().map(|pem| certificates("CERTIFICATE", pem)).transpose()?;
        // What the system has and cannot be read is as good as missing: what needs it says so when it connects.
        let authorities = given.unwrap_or_else(|| rustls_native_certs::load_native_certs().certs);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities);
        Ok(roots)
    }
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(refused(name, "it has no certificate".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(refused(name, error.to_string())),
    }
}

fn refused(name: &str, why: String) -> Error {
    Error::Variable { name: format!("OTEL_EXPORTER_OTLP_{name}"), why }
}
