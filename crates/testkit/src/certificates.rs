//! Certificates for servers of tests.
#![allow(clippy::expect_used, reason = "a certificate that cannot be made has to fail its test")]

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Writes `ca.pem`, and of `server` and `client`, both at 127.0.0.1 and by that authority, a `.pem` and a `.key`.
///
/// # Panics
/// The folder cannot be written to.
pub fn certificates(folder: &Path) {
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
    let mut authority = CertificateParams::new([]).expect("no names");
    // OpenSSL takes what is signed by its own name for signed by itself.
    authority.distinguished_name.push(DnType::CommonName, "authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    write("ca.pem", issuer.pem());
    for name in ["server", "client"] {
        let key = KeyPair::generate().expect("a key");
        let mut of_this_machine = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        of_this_machine.distinguished_name.push(DnType::CommonName, name);
        write(&format!("{name}.pem"), of_this_machine.signed_by(&key, &issuer).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
