//! Whom a client believes, and who it says that it is: TLS and SASL as the bus' URL has them.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
};

use messaging::Error;
use rdkafka::ClientConfig;

/// The mechanism whose secret is in a file.
const TOKEN: &str = "OAUTHBEARER";
/// Those whose secret is in the URL.
const PASSWORDS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What the URL says of TLS and SASL.
#[derive(Clone, Default)]
pub(crate) struct Security {
    is_encrypted: bool,
    mechanism: Option<String>,
    login: Option<(String, String)>,
    token_file: Option<PathBuf>,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

/// Without the password, and without the user.
impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol();
        f.debug_struct("Security")
            .field("protocol", &protocol)
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl Security {
    /// Takes a parameter of the URL; says whether it is one of these.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, Error> {
        match name {
            "sasl" => self.mechanism = Some(mechanism(value)?),
            "token_file" => self.token_file = Some(file(name, value)?.into()),
            "ca" => self.ca = Some(file(name, value)?),
            "cert" => self.cert = Some(file(name, value)?),
            "key" => self.key = Some(file(name, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes the scheme and what stands before the host, decoded, and compares all with one another.
    pub(crate) fn close(&mut self, is_encrypted: bool, login: Option<(String, String)>) -> Result<(), Error> {
        (self.is_encrypted, self.login) = (is_encrypted, login);
        let files = [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)];
        if let Some((name, _)) = files.iter().find(|(_, file)| file.is_some() && !is_encrypted) {
            return Err(address(format!("{name} is for TLS: write kafka+ssl:// before the host")));
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err(address("a certificate needs its key: write both cert and key"));
        }
        if self.login.as_ref().is_some_and(|(user, password)| user.is_empty() || password.is_empty()) {
            return Err(address("a login needs both: write USER:PASSWORD@ before the host"));
        }
        let (is_token, has_login) = (self.mechanism.as_deref() == Some(TOKEN), self.login.is_some());
        if is_token != self.token_file.is_some() {
            return Err(address(format!("a token needs both: write sasl={TOKEN}&token_file=PATH")));
        }
        if is_token && has_login {
            return Err(address(format!("sasl={TOKEN} has its token from token_file: write no USER:PASSWORD@")));
        }
        if self.mechanism.is_some() && !is_token && !has_login {
            return Err(address("sasl needs USER:PASSWORD@ before the host"));
        }
        if has_login && self.mechanism.is_none() {
            self.mechanism = Some("PLAIN".to_owned());
        }
        Ok(())
    }

    /// Where the token is kept.
    pub(crate) fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// Makes sure that there is what the URL names. What a token file holds may come later.
    pub(crate) fn are_there(&self) -> Result<(), Error> {
        for (name, file) in [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)] {
            if let Some((file, why)) = file.as_ref().and_then(|file| Some((file, File::open(file).err()?))) {
                return Err(address(format!("cannot read `{name}={file}`: {why}; mount it there, readable for us")));
            }
        }
        Ok(())
    }

    /// Makes sure that the client library can do what is asked for.
    pub(crate) fn is_built_in(&self) -> Result<(), Error> {
        let needs = match self.mechanism.as_deref() {
            _ if self.is_encrypted => "kafka+ssl://".to_owned(),
            Some(mechanism) if mechanism != "PLAIN" => format!("sasl={mechanism}"),
            _ => return Ok(()),
        };
        if has_openssl() {
            return Ok(());
        }
        let how = "build the program with the feature `kafka-tls`, as its image is";
        Err(address(format!("{needs} needs OpenSSL in the client library, which this build has not: {how}")))
    }

    /// The settings of the client library.
    pub(crate) fn settings(&self) -> Vec<(&'static str, &str)> {
        let mut settings = vec![("security.protocol", self.protocol())];
        if self.is_encrypted {
            // OpenSSL as it is built in looks nowhere by itself; `probe` is where systems have their certificates.
            settings.push(("ssl.ca.location", self.ca.as_deref().unwrap_or("probe")));
        }
        let login = self.login.as_ref();
        let own = [
            ("sasl.mechanisms", self.mechanism.as_deref()),
            ("sasl.username", login.map(|(user, _)| user.as_str())),
            ("sasl.password", login.map(|(_, password)| password.as_str())),
            ("ssl.certificate.location", self.cert.as_deref()),
            ("ssl.key.location", self.key.as_deref()),
        ];
        settings.extend(own.into_iter().filter_map(|(name, value)| Some((name, value?))));
        settings
    }

    fn protocol(&self) -> &'static str {
        match (self.is_encrypted, self.mechanism.is_some()) {
            (false, false) => "plaintext",
            (false, true) => "sasl_plaintext",
            (true, false) => "ssl",
            (true, true) => "sasl_ssl",
        }
    }
}

fn address(why: impl Into<String>) -> Error {
    Error::Address(why.into())
}

fn file(name: &str, value: &str) -> Result<String, Error> {
    let path = Some(value.to_owned()).filter(|path| !path.is_empty() && !path.contains('\0'));
    path.ok_or_else(|| address(format!("{name} is the path of a file")))
}

fn mechanism(name: &str) -> Result<String, Error> {
    let mut known = PASSWORDS.iter().chain(&[TOKEN]);
    let found = known.find(|known| **known == name);
    let all = || address(format!("sasl is one of {}, {TOKEN}", PASSWORDS.join(", ")));
    found.map(|known| (*known).to_owned()).ok_or_else(all)
}

/// Whether the client library was built with OpenSSL, which it also needs for SCRAM and OAUTHBEARER.
fn has_openssl() -> bool {
    let built = ClientConfig::new().create_native_config().and_then(|config| config.get("builtin.features"));
    built.is_ok_and(|features| features.split(',').any(|feature| feature == "ssl"))
}
