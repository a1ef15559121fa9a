//! Layers, origins and errors, from the outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::time::Duration;

use config::{Error, Loaded, SecretFile, load_from};
use serde::Deserialize;

const DEFAULTS: &str = r#"
[http]
host = "127.0.0.1"
port = 8080

[shutdown]
deadline = "20s"

[database]
url = "sqlite://.trireme/user.db"

[cors]
origins = []
"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    http: Listen,
    shutdown: Shutdown,
    database: Database,
    cors: Cors,
    service: Option<Service>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listen {
    host: String,
    port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shutdown {
    #[serde(deserialize_with = "config::duration::within::<1, { config::duration::HOUR }, _>")]
    deadline: Duration,
    #[serde(default, deserialize_with = "config::within::<1, 100, _, _>")]
    parallel: u8,
    #[serde(default, deserialize_with = "config::fraction::<1, 100, _>")]
    share: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cors {
    origins: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    credential_file: SecretFile,
}

fn load(file: Option<&Path>, env: &[(&str, &str)]) -> Result<Loaded<Config>, Error> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_from("user", DEFAULTS, file, env)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn refusal(file: Option<&Path>, env: &[(&str, &str)]) -> String {
    load(file, env).unwrap_err().to_string()
}

#[test]
fn the_defaults_alone_are_a_configuration() {
    let config = load(None, &[("HOME", "/root")]).unwrap().value;
    assert_eq!((config.http.host.as_str(), config.http.port), ("127.0.0.1", 8080));
    assert_eq!(config.shutdown.deadline, Duration::from_secs(20));
    assert_eq!(config.database.url, "sqlite://.trireme/user.db");
}

#[test]
fn a_file_comes_over_the_defaults_and_the_environment_over_both() {
    let file = file("http.port = 1\nhttp.host = '::1'");
    let config = load(Some(file.path()), &[("TRIREME_HTTP__PORT", "2")]).unwrap().value;
    assert_eq!((config.http.host.as_str(), config.http.port), ("::1", 2));
}

#[test]
fn lists_and_texts_come_from_the_environment() {
    let env = [("TRIREME_CORS__ORIGINS", r#"["https://a.example", "https://b.example"]"#)];
    let config = load(None, &env).unwrap().value;
    assert_eq!(config.cors.origins, ["https://a.example", "https://b.example"]);
}

#[test]
fn an_unknown_key_is_named_with_its_origin() {
    let message = refusal(None, &[("TRIREME_HTTP__PROT", "1")]);
    assert_eq!(message, "`http.prot` (set by TRIREME_HTTP__PROT): there is no such key; known here: host, port");
    let file = file("colour = true");
    let message = refusal(Some(file.path()), &[]);
    assert!(message.starts_with(&format!("`colour` (set by {})", file.path().display())), "{message}");
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_origin() {
    let message = refusal(None, &[("TRIREME_HTTP__PORT", "many")]);
    assert_eq!(message, "`http.port` (set by TRIREME_HTTP__PORT): invalid type: found string \"many\", expected u16");
    let file = file("[shutdown]\ndeadline = '20 seconds'");
    let message = refusal(Some(file.path()), &[]);
    assert!(message.starts_with("`shutdown.deadline` (set by "), "{message}");
    assert!(message.contains("write it like 250ms"), "{message}");
}

#[test]
fn a_value_out_of_its_range_is_named_with_its_origin_and_the_range() {
    for (name, value, expected) in [
        ("DEADLINE", "0s", "0s is out of range: from 1ms to 1h"),
        ("DEADLINE", "61m", "1h1m is out of range: from 1ms to 1h"),
        ("PARALLEL", "0", "0 is out of range: from 1 to 100"),
        ("PARALLEL", "9223372036854775807", "9223372036854775807 is out of range: from 1 to 100"),
        ("SHARE", "0.0", "0 is out of range: from 0.01 to 1"),
        ("SHARE", "1.5", "1.5 is out of range: from 0.01 to 1"),
    ] {
        let variable = format!("TRIREME_SHUTDOWN__{name}");
        let key = format!("shutdown.{}", name.to_lowercase());
        assert_eq!(refusal(None, &[(&variable, value)]), format!("`{key}` (set by {variable}): {expected}"));
    }
    let good =
        [("TRIREME_SHUTDOWN__DEADLINE", "1h"), ("TRIREME_SHUTDOWN__PARALLEL", "100"), ("TRIREME_SHUTDOWN__SHARE", "1")];
    let shutdown = load(None, &good).unwrap().value.shutdown;
    assert_eq!((shutdown.deadline, shutdown.parallel, shutdown.share), (Duration::from_hours(1), 100, 1.0));
}

#[test]
fn a_missing_key_is_named() {
    let error = load_from::<Listen>("user", "host = 'h'", None, []).unwrap_err();
    assert_eq!(error.to_string(), "`port`: is missing");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_an_error() {
    let message = refusal(Some(Path::new("/does/not/exist.toml")), &[]);
    assert!(message.contains("/does/not/exist.toml"), "{message}");
    let file = file("http = ");
    let message = refusal(Some(file.path()), &[]);
    assert!(message.contains("is not TOML") && message.contains("line 1"), "{message}");
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_printed() {
    let secret = file("hush\n");
    let path = secret.path().to_str().unwrap();
    let loaded = load(None, &[("TRIREME_SERVICE__CREDENTIAL_FILE", path)]).unwrap();
    let service = loaded.value.service.as_ref().unwrap();
    assert_eq!(service.credential_file.expose(), "hush");
    assert!(!format!("{:?}", loaded.value).contains("hush"));
    assert!(!printed(&loaded, false).contains("hush"));
}

#[test]
fn a_secret_file_that_is_missing_or_empty_is_an_error_with_the_key() {
    let message = refusal(None, &[("TRIREME_SERVICE__CREDENTIAL_FILE", "/does/not/exist")]);
    assert!(message.starts_with("`service.credential_file` (set by TRIREME_SERVICE__CREDENTIAL_FILE)"), "{message}");
    let empty = file("\n");
    let message = refusal(None, &[("TRIREME_SERVICE__CREDENTIAL_FILE", empty.path().to_str().unwrap())]);
    assert!(message.contains("the file is empty"), "{message}");
}

#[test]
fn the_listing_shows_values_and_origins_and_masks_passwords() {
    let env = [("TRIREME_DATABASE__URL", "postgres://shop:hush@db/user"), ("TRIREME_HTTP__PORT", "0")];
    let loaded = load(None, &env).unwrap();
    let listing = printed(&loaded, false);
    let rows: Vec<Vec<&str>> = listing.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["http.port", "=", "0", "#", "TRIREME_HTTP__PORT"]), "{listing}");
    assert!(rows.contains(&vec!["http.host", "=", "\"127.0.0.1\"", "#", "default"]), "{listing}");
    assert!(listing.contains("\"postgres://shop:***@db/user\""), "{listing}");
    assert!(!listing.contains("hush") && !listing.contains('\u{1b}'), "{listing}");
    assert!(printed(&loaded, true).contains('\u{1b}'));
}

#[test]
fn the_listing_is_a_configuration_again() {
    let loaded = load(None, &[("TRIREME_HTTP__PORT", "9")]).unwrap();
    let file = file(&printed(&loaded, false));
    let again = load(Some(file.path()), &[]).unwrap().value;
    assert_eq!(again.http.port, 9);
    assert_eq!(again.shutdown.deadline, Duration::from_secs(20));
}

fn printed(loaded: &Loaded<Config>, colour: bool) -> String {
    let mut out = Vec::new();
    loaded.print(&mut out, colour).unwrap();
    String::from_utf8(out).unwrap()
}
