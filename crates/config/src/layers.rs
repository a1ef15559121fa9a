//! The layers of a configuration: embedded defaults, file, environment.

use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::Error;

/// What all our environment variables begin with.
const PREFIX: &str = "TRIREME_";
/// What separates the names of nested keys in a variable's name.
const SEPARATOR: &str = "__";

/// A layer, or one variable of one, with the name that errors and listings give as the origin.
struct Layer {
    origin: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Puts the layers over one another, the later over the earlier.
pub(crate) fn merge(
    defaults: &str,
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Figment, Error> {
    let mut figment = Figment::new().merge(toml("default".to_owned(), defaults)?);
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        figment = figment.merge(toml(path.display().to_string(), &text)?);
    }
    for (name, text) in env {
        if let Some(key) = name.strip_prefix(PREFIX) {
            figment = figment.merge(variable(&name, key, &text));
        }
    }
    Ok(figment)
}

fn toml(origin: String, text: &str) -> Result<Layer, Error> {
    match Toml::from_str::<Dict>(text) {
        Ok(values) => Ok(Layer { origin, values }),
        Err(error) => Err(Error::Toml { origin, detail: error.to_string().trim_end().to_owned() }),
    }
}

fn variable(name: &str, key: &str, text: &str) -> Layer {
    let path = key.to_ascii_lowercase();
    // Numbers, booleans and lists are written as in TOML; everything else is text as it stands.
    let value = text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
    let mut keys: Vec<&str> = path.split(SEPARATOR).collect();
    let last = keys.pop().unwrap_or_default();
    let mut values = Dict::from([(last.to_owned(), value)]);
    for key in keys.into_iter().rev() {
        values = Dict::from([(key.to_owned(), Value::from(values))]);
    }
    Layer { origin: name.to_owned(), values }
}
