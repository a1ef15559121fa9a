//! Inside a service dependencies point inward: api → app → domain, adapters → app, domain, wiring → all; config borrows
//! its sections from where they are used.

use super::in_source;
use crate::Breach;
use crate::source::Source;

/// Each layer with the modules of its service that it may name.
const INWARD: [(&str, &[&str]); 5] = [
    ("domain", &["domain"]),
    ("app", &["app", "domain"]),
    ("api", &["api", "app", "domain"]),
    ("adapters", &["adapters", "app", "domain"]),
    ("config", &["adapters", "app", "config", "domain"]),
];

/// Each layer with the crates and modules that are none of its business.
const FOREIGN: [(&str, &[&str]); 4] = [
    (
        "domain",
        &[
            "async_trait",
            "axum",
            "cache",
            "chassis",
            "client",
            "clock",
            "config",
            "futures",
            "http",
            "hyper",
            "lock",
            "messaging",
            "proto",
            "rand",
            "serde",
            "serde_json",
            "postgres",
            "sqlite",
            "sqlx",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::process",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "telemetry",
            "tokio",
            "tonic",
            "tracing",
        ],
    ),
    (
        "app",
        &[
            "axum", "chassis", "http", "hyper", "mongo", "mongodb", "postgres", "proto", "redis", "sqlite", "sqlx",
            "tonic",
        ],
    ),
    ("api", &["mongo", "mongodb", "postgres", "redis", "sqlite", "sqlx"]),
    ("config", &["axum", "mongo", "mongodb", "postgres", "redis", "sqlite", "sqlx", "tonic"]),
];

/// The layer of a service's file: `services/user/src/app/ports.rs` and `services/user/src/app.rs` are in `app`.
fn layer(source: &Source) -> Option<&str> {
    match source.parts().as_slice() {
        ["services", _, "src", layer, ..] => Some(layer.strip_suffix(".rs").unwrap_or(layer)),
        _ => None,
    }
}

fn of<'a>(table: &'a [(&str, &'a [&'a str])], source: &Source) -> &'a [&'a str] {
    let layer = layer(source);
    table.iter().find(|(name, _)| layer == Some(name)).map_or(&[], |(_, entries)| entries)
}

/// A layer names itself and the layers within; the root of the service counts as outside.
pub(super) fn dependencies_point_inward(source: &Source) -> Vec<Breach> {
    let allowed = of(&INWARD, source);
    if allowed.is_empty() {
        return Vec::new();
    }
    let names = source.names_below("crate").into_iter();
    names
        .filter(|(_, name)| !allowed.contains(name))
        .map(|(at, name)| {
            let layer = layer(source).unwrap_or_default();
            let detail = format!("`{layer}` may not use `crate::{name}`, only {}", allowed.join(", "));
            in_source(source, source.line(at), "layer", detail)
        })
        .collect()
}

/// Business rules know no technology, use cases no protocol and no database, the interface no database.
pub(super) fn layers_know_their_technology(source: &Source) -> Vec<Breach> {
    let foreign = of(&FOREIGN, source).iter().flat_map(|name| {
        let places = source.find(name).into_iter().filter(move |at| is_path(source, *at, name));
        places.map(move |at| (at, *name))
    });
    let mut breaches: Vec<Breach> = foreign
        .map(|(at, name)| {
            let layer = layer(source).unwrap_or_default();
            let detail = format!("`{name}` is none of the business of `{layer}`: put it behind a port or pass it in");
            in_source(source, source.line(at), "layer-technology", detail)
        })
        .collect();
    if layer(source) == Some("domain") {
        breaches.extend(source.code.match_indices("async ").chain(source.code.match_indices(".await")).map(
            |(at, _)| {
                let detail = "business rules are sync: nothing in `domain` waits".to_owned();
                in_source(source, source.line(at), "layer-technology", detail)
            },
        ));
    }
    breaches
}

/// Whether the name stands for the crate: `name::…`, or `use name;`.
fn is_path(source: &Source, at: usize, name: &str) -> bool {
    let after = source.code[at + name.len()..].trim_start();
    after.starts_with("::") || source.code[..at].trim_end().ends_with("use")
}

/// Only the clock that was passed in says what time it is.
pub(super) fn time_is_passed_in(source: &Source) -> Vec<Breach> {
    if of(&INWARD, source).is_empty() {
        return Vec::new();
    }
    let calls = ["::now_utc(", "SystemTime::now(", "clock::system("];
    let places = calls.into_iter().flat_map(|call| source.code.match_indices(call));
    places
        .map(|(at, _)| {
            let detail = "take the time from the clock that is passed in; only `wiring` asks the system".to_owned();
            in_source(source, source.line(at), "time", detail)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(layer: &str, text: &str) -> Source {
        Source::new(format!("services/user/src/{layer}"), text)
    }

    fn lines(breaches: &[Breach]) -> Vec<usize> {
        breaches.iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn an_edge_outward_is_named() {
        for (file, text) in [
            ("domain/user.rs", "use crate::app::ports;"),
            ("domain.rs", "crate::adapters::sqlite::open();"),
            ("app/register.rs", "use crate::{adapters, domain::User};"),
            ("app/register.rs", "use crate::api::http;"),
            ("api/http.rs", "use crate::adapters::sqlite::SqliteUsers;"),
            ("api/http.rs", "fn state() -> crate::wiring::Parts {}"),
            ("adapters/sqlite.rs", "use crate::api::http;"),
            ("adapters/sqlite.rs", "use crate::Config;"),
            ("config.rs", "use crate::wiring::Parts;"),
        ] {
            assert_eq!(lines(&dependencies_point_inward(&source(file, text))), [1], "{file}: {text}");
        }
    }

    #[test]
    fn an_edge_inward_is_fine() {
        for (file, text) in [
            ("domain/user.rs", "use crate::domain::Email; // not crate::app"),
            ("app/register.rs", "use crate::{app::ports::Users, domain::User};"),
            ("api/http.rs", "use crate::app::register;\nuse crate::domain::User;"),
            ("adapters/sqlite.rs", "use crate::app::ports::Users;\nuse super::sqlite;"),
            ("wiring.rs", "use crate::{adapters, api, app, config, domain};"),
            ("main.rs", "use crate::wiring;"),
        ] {
            assert_eq!(dependencies_point_inward(&source(file, text)), [], "{file}: {text}");
        }
        let elsewhere = Source::new("crates/auth/src/domain/a.rs", "use crate::api;");
        assert_eq!(dependencies_point_inward(&elsewhere), []);
    }

    #[test]
    fn technology_in_the_wrong_layer_is_named() {
        for (file, text) in [
            ("domain/user.rs", "use serde::Serialize;"),
            ("domain/user.rs", "std::fs::read(\"a\");"),
            ("domain/user.rs", "use tokio;"),
            ("domain/user.rs", "pub async fn confirm() {}"),
            ("app/register.rs", "sqlx::query(\"SELECT 1\");"),
            ("app/register.rs", "use axum::Json;"),
            ("api/http.rs", "use sqlx::SqlitePool;"),
        ] {
            assert_eq!(lines(&layers_know_their_technology(&source(file, text))), [1], "{file}: {text}");
        }
        for (file, text) in [
            ("domain/user.rs", "let client = http.client; // serde::Serialize\nself.lock();"),
            ("app/register.rs", "messaging::Effects::default();"),
            ("adapters/sqlite.rs", "use sqlx::SqlitePool;"),
        ] {
            assert_eq!(layers_know_their_technology(&source(file, text)), [], "{file}: {text}");
        }
    }

    #[test]
    fn asking_the_system_for_the_time_is_named() {
        let text = "let a = 1;\nlet now = OffsetDateTime::now_utc();";
        assert_eq!(lines(&time_is_passed_in(&source("app/register.rs", text))), [2]);
        assert_eq!(lines(&time_is_passed_in(&source("api/http.rs", "clock::system()"))), [1]);
        assert_eq!(time_is_passed_in(&source("wiring.rs", "clock::system()")), []);
    }
}
