//! What each layer of a service may name. Whatever is not listed here is refused.
//!
//! An entry allows the path and all that is below it: `std::time::Duration` allows no `std::time::Instant`.

/// A layer of a service.
pub(super) struct Layer {
    /// Its folder or file below `src`, without `.rs`.
    pub(super) name: &'static str,
    /// The layers of its service that it may name.
    pub(super) inner: &'static [&'static str],
    /// The paths outside its service that it may name.
    pub(super) outer: &'static [&'static [&'static str]],
    /// What to do with anything else.
    pub(super) instead: &'static str,
}

/// Values and how they are shown, compared and kept; nothing that reads, waits or asks the system.
const PLAIN: &[&str] = &[
    "std::any",
    "std::array",
    "std::ascii",
    "std::borrow",
    "std::boxed",
    "std::char",
    "std::cmp",
    "std::collections",
    "std::convert",
    "std::default",
    "std::error",
    "std::fmt",
    "std::hash",
    "std::iter",
    "std::marker",
    "std::mem",
    "std::num",
    "std::ops",
    "std::option",
    "std::rc",
    "std::result",
    "std::slice",
    "std::str",
    "std::string",
    "std::sync::Arc",
    "std::time::Duration",
    "std::vec",
];

/// What waits, without saying for what.
const CONCURRENT: &[&str] =
    &["std::future", "std::pin", "std::sync", "std::task", "tokio::pin", "tokio::select", "tokio::sync", "tokio::time"];

/// Values that every layer speaks of.
const VALUES: &[&str] = &["money", "time", "uuid"];

/// Errors of a type, ports, and the record of what happens.
const PORTS: &[&str] = &["async_trait", "clock", "error", "messaging", "telemetry", "thiserror", "tracing"];

const FORMATS: &[&str] = &["base64", "hex", "serde", "serde_json"];

/// The layers from the inside to the outside.
pub(super) const LAYERS: [Layer; 9] = [
    Layer {
        name: "domain",
        inner: &["domain"],
        outer: &[
            PLAIN,
            VALUES,
            &["aws_lc_rs::digest", "icu_casemap", "icu_normalizer", "icu_properties", "idna", "thiserror"],
        ],
        instead: "a business rule takes values and returns values: pass it in",
    },
    Layer {
        name: "app",
        inner: &["app", "domain"],
        outer: &[
            PLAIN,
            CONCURRENT,
            VALUES,
            PORTS,
            FORMATS,
            &["std::net::IpAddr", "auth", "aws_lc_rs", "cache", "futures", "getrandom", "limit", "lock", "resilience"],
            &["bytes", "opentelemetry", "semconv", "tokio::task::yield_now", "tokio_util"],
        ],
        instead: "a use case knows no protocol and no store: put it behind a port in `app/ports.rs`",
    },
    Layer {
        name: "api",
        inner: &["api", "app", "domain"],
        outer: &[
            PLAIN,
            VALUES,
            &["async_trait", "clock", "error", "hex", "messaging", "serde", "serde_json", "telemetry", "tracing"],
            &[
                "std::net::IpAddr",
                "std::sync",
                "anyhow",
                "async_graphql",
                "auth",
                "aws_lc_rs",
                "axum",
                "bytes",
                "chassis",
                "http",
                "opentelemetry",
                "proto",
                "semconv",
                "tonic",
                "utoipa",
                "utoipa_axum",
            ],
            // Strangers must not hold a thread.
            &["futures", "tokio::task::yield_now"],
        ],
        instead: "the interface translates and nothing else: let a use case do it",
    },
    Layer {
        name: "adapters",
        inner: &["adapters", "app", "domain"],
        outer: &[
            PLAIN,
            CONCURRENT,
            VALUES,
            PORTS,
            FORMATS,
            &["std::net::IpAddr", "anyhow", "futures", "resilience", "tokio::task"],
        ],
        instead: "put it into the adapter's file that is named after the technology",
    },
    Layer {
        name: "config",
        inner: &["adapters", "app", "config", "domain"],
        outer: &[
            PLAIN,
            &["std::path", "auth", "cache", "chassis", "client", "config", "lock", "messaging", "serde"],
            &["telemetry"],
        ],
        instead: "a section is borrowed from where it is used, and says nothing about how",
    },
    Layer {
        name: "wiring",
        inner: &["adapters", "api", "app", "config", "domain", "wiring"],
        outer: &[
            PLAIN,
            &[
                "std::sync",
                "anyhow",
                "auth",
                "backends",
                "cache",
                "chassis",
                "client",
                "clock",
                "config",
                "elasticsearch",
            ],
            &[
                "futures",
                "http",
                "lock",
                "messaging",
                "mongodb",
                "postgres",
                "proto",
                "sqlite",
                "tokio::fs",
                "tokio::sync",
                "tokio::time",
                "tonic",
            ],
        ],
        instead: "wiring opens what the crates offer and hands it on",
    },
    Layer {
        name: "cli",
        inner: &["cli", "config", "domain", "wiring"],
        outer: &[
            PLAIN,
            &["std::fs", "std::io", "std::path", "std::process"],
            &["anyhow", "chassis", "clap", "clock", "config", "telemetry", "tracing"],
        ],
        instead: "a subcommand reads its arguments and calls wiring",
    },
    Layer {
        name: "main",
        inner: &["cli"],
        outer: &[&["std::process", "clap"]],
        instead: "the binary reads the command line and calls `cli`",
    },
    Layer { name: "lib", inner: &[], outer: &[], instead: "the library lists its modules and nothing else" },
];

/// The technologies that an adapter may name in addition, each in the files and folders of this name.
pub(super) const TECHNOLOGIES: &[(&str, &[&str])] = &[
    ("argon2", &["argon2", "getrandom"]),
    ("columns", &["postgres", "sqlite", "sqlx"]),
    ("elasticsearch", &["elasticsearch"]),
    ("jwks", &["auth", "client"]),
    ("mongodb", &["aws_lc_rs::digest", "mongodb"]),
    ("order_client", &["client", "http"]),
    ("payment_client", &["client", "proto", "tonic"]),
    ("postgres", &["postgres", "sqlx"]),
    ("smtp", &["lettre"]),
    ("sandbox", &["postgres", "sqlite", "sqlx"]),
    ("sqlite", &["sqlite", "sqlx"]),
    ("user_client", &["client", "proto", "tonic"]),
    ("words", &["postgres", "sqlite", "sqlx"]),
];
