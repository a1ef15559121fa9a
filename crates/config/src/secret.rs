//! Secrets, which come from files and are never printed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A text that is never printed.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Returns the text, to be used and not to be kept.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A secret in a file: the key, whose name ends in `_file`, holds the path, and loading reads it.
///
/// The line break at the end does not belong to the secret; an empty file is an error.
#[derive(Debug, Clone)]
pub struct SecretFile {
    path: PathBuf,
    secret: Secret,
}

impl SecretFile {
    /// Reads the secret from a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is empty.
    pub fn read(path: impl Into<PathBuf>) -> std::io::Result<Self> {
        let path = path.into();
        let text = std::fs::read_to_string(&path)?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is empty"));
        }
        Ok(Self { secret: Secret::new(text), path })
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the secret.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Returns the secret's text, to be used and not to be kept.
    pub fn expose(&self) -> &str {
        self.secret.expose()
    }
}

impl<'de> Deserialize<'de> for SecretFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        Self::read(&path)
            .map_err(|error| D::Error::custom(format!("cannot read the secret in `{}`: {error}", path.display())))
    }
}
