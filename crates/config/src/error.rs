//! What is wrong with a configuration, and where it came from.

use std::path::PathBuf;

use figment::Figment;
use figment::error::Kind;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A layer is not TOML.
    #[error("{origin} is not TOML: {detail}")]
    Toml {
        /// The file.
        origin: String,
        /// What is wrong and in which line.
        detail: String,
    },
    /// A key has a value that cannot be used, is unknown, or is missing.
    #[error("`{key}`{}: {detail}", origin.as_ref().map(|o| format!(" (set by {o})")).unwrap_or_default())]
    Key {
        /// The key, such as `http.port`.
        key: String,
        /// The file or the environment variable; nothing for a missing key.
        origin: Option<String>,
        /// What is wrong with it.
        detail: String,
    },
}

impl Error {
    /// Translates figment's error, whose path ends at the parent when a field is unknown or missing.
    pub(crate) fn of(error: figment::Error, figment: &Figment) -> Self {
        let mut path = error.path;
        let mut detail = error.kind.to_string();
        match &error.kind {
            Kind::UnknownField(name, known) => {
                push(&mut path, name);
                detail = format!("there is no such key; known here: {}", known.join(", "));
            }
            Kind::MissingField(name) => {
                push(&mut path, name);
                "is missing".clone_into(&mut detail);
            }
            Kind::UnknownVariant(word, known) => {
                detail = format!("`{word}` is not among: {}", known.join(", "));
            }
            _ => {}
        }
        let key = path.join(".");
        let origin = figment.find_metadata(&key).map(|metadata| metadata.name.to_string());
        Self::Key { key, origin, detail }
    }
}

fn push(path: &mut Vec<String>, name: &str) {
    if path.last().is_none_or(|last| last != name) {
        path.push(name.to_owned());
    }
}
