//! Loading, and what was loaded.

use std::io::{self, Write};
use std::path::Path;

use figment::Figment;
use figment::value::{Dict, Num, Value};
use serde::de::DeserializeOwned;

use crate::print::{self, Line};
use crate::{Error, layers};

/// A configuration, and for each key where its value came from.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    service: String,
    lines: Vec<Line>,
}

impl<T> Loaded<T> {
    /// Writes each key with its effective value and its origin, as TOML; secrets are masked.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written to.
    pub fn print(&self, out: &mut dyn Write, colour: bool) -> io::Result<()> {
        print::print(out, &self.service, &self.lines, colour)
    }
}

/// Loads the configuration of `service`: `defaults` (TOML), over it `file`, over it the environment.
///
/// # Errors
///
/// When the file cannot be read, or a key is unknown, missing or has a value that does not fit.
pub fn load<T: DeserializeOwned>(
    service: &str,
    defaults: &'static str,
    file: Option<&Path>,
) -> Result<Loaded<T>, Error> {
    let env = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    });
    load_from(service, defaults, file, env)
}

/// Loads as [`load`] does, with the environment passed in.
///
/// # Errors
///
/// As [`load`].
pub fn load_from<T: DeserializeOwned>(
    service: &str,
    defaults: &str,
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded<T>, Error> {
    let figment = layers::merge(defaults, file, env)?;
    let value = figment.extract().map_err(|error| Error::of(error, &figment))?;
    let values: Dict = figment.extract().map_err(|error| Error::of(error, &figment))?;
    let mut lines = Vec::new();
    collect(&figment, "", &values, &mut lines);
    Ok(Loaded { value, service: service.to_owned(), lines })
}

/// Lists the leaves below `prefix`, plain keys before tables, as TOML wants them.
fn collect(figment: &Figment, prefix: &str, values: &Dict, lines: &mut Vec<Line>) {
    let name = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    for (key, value) in values {
        if value.as_dict().is_none() {
            lines.push(Line { key: name(key), value: show(value), origin: origin(figment, value) });
        }
    }
    for (key, value) in values {
        if let Some(table) = value.as_dict() {
            collect(figment, &name(key), table, lines);
        }
    }
}

fn origin(figment: &Figment, value: &Value) -> String {
    figment.get_metadata(value.tag()).map_or_else(String::new, |metadata| metadata.name.to_string())
}

/// Returns the value as TOML writes it.
fn show(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, c) => format!("{:?}", c.to_string()),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, num) => show_number(num),
        Value::Array(_, items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Empty(..) | Value::Dict(..) => "{}".to_owned(),
    }
}

fn show_number(num: &Num) -> String {
    let unsigned = num.to_u128().map(|n| n.to_string());
    let signed = || num.to_i128().map(|n| n.to_string());
    unsigned.or_else(signed).or_else(|| num.to_f64().map(|n| n.to_string())).unwrap_or_default()
}
