//! Which crates from outside the workspace a crate may depend on: a technology has a crate of its own.

use super::{edges::is_crate, in_manifest};
use crate::Breach;
use crate::manifest::Manifest;

/// What knows no technology; any crate may use it.
const COMMON: [&str; 18] = [
    "anyhow",
    "async-trait",
    "backon",
    "base64",
    "bytes",
    "futures",
    "hex",
    "opentelemetry",
    "percent-encoding",
    "rand",
    "serde",
    "serde_json",
    "thiserror",
    "time",
    "tokio",
    "tokio-util",
    "tracing",
    "uuid",
];

/// What each crate may use in addition. A new dependency needs an ADR and an entry here.
const OWN: [(&str, &[&str]); 19] = [
    ("auth", &["aws-lc-rs", "axum", "http", "jsonwebtoken", "moka", "tonic"]),
    ("cache", &["moka"]),
    (
        "chassis",
        &[
            "aws-lc-rs",
            "axum",
            "http",
            "http-body-util",
            "hyper",
            "hyper-util",
            "prost",
            "prost-types",
            "tonic",
            "tonic-health",
            "tonic-reflection",
            "tonic-web",
            "tower",
            "tower-http",
            "utoipa",
            "utoipa-axum",
        ],
    ),
    ("client", &["http", "http-body-util", "hyper", "hyper-rustls", "hyper-util", "rustls", "tonic"]),
    ("config", &["anstyle", "figment"]),
    ("elasticsearch", &["http"]),
    ("error", &["axum", "http", "tonic", "tonic-types"]),
    ("kafka", &["rdkafka"]),
    ("money", &["iso_currency"]),
    ("mongodb", &["mongodb-driver"]),
    ("nats", &["async-nats"]),
    ("postgres", &["sqlx"]),
    ("proto", &["prost", "prost-types", "protox", "tonic", "tonic-prost", "tonic-prost-build"]),
    ("rabbitmq", &["lapin"]),
    ("redis", &["deadpool", "deadpool-redis", "moka", "redis-rs"]),
    ("sql", &["sqlx", "sqlx-core"]),
    ("sqlite", &["sqlx"]),
    (
        "telemetry",
        &[
            "anstyle",
            "http",
            "http-body-util",
            "hyper-rustls",
            "hyper-util",
            "opentelemetry-appender-tracing",
            "opentelemetry-http",
            "opentelemetry-otlp",
            "opentelemetry-prometheus",
            "opentelemetry_sdk",
            "prometheus",
            "rustls",
            "rustls-native-certs",
            "tonic",
            "tracing-opentelemetry",
            "tracing-subscriber",
        ],
    ),
    ("testkit", &["http", "http-body", "http-body-util", "rcgen", "sqlx", "stats_alloc", "tempfile", "tower"]),
];

/// A crate uses what is common and what is on its list, but for its tests.
pub(super) fn a_technology_has_its_crate(manifest: &Manifest) -> Vec<Breach> {
    let (folder, name) = manifest.package();
    if folder != "crates" {
        return Vec::new();
    }
    let own = OWN.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, own)| own);
    let outside = manifest.dependencies.iter().filter(|dependency| !dependency.dev && !is_crate(&dependency.name));
    outside
        .filter(|dependency| !COMMON.iter().chain(own).any(|known| *known == dependency.name))
        .map(|dependency| {
            let detail = format!(
                "`{}` is not on the list of `{name}` in tools/tidy/src/rules/technologies.rs: a technology is a crate of \
                 its own, and a new dependency needs an ADR",
                dependency.name
            );
            in_manifest(manifest, dependency.line, "crate-technology", detail)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, dependencies: &str) -> Vec<usize> {
        let manifest = Manifest::parse(format!("crates/{name}/Cargo.toml").into(), dependencies).unwrap();
        a_technology_has_its_crate(&manifest).iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn a_technology_in_a_crate_that_knows_none_is_named() {
        for technology in ["redis-rs", "sqlx", "mongodb-driver", "rdkafka", "lapin"] {
            let dependencies = format!("[dependencies]\ntokio.workspace = true\n{technology}.workspace = true\n");
            assert_eq!(lines("cache", &dependencies), [3], "{technology}");
            assert_eq!(lines("messaging", &dependencies), [3], "{technology}");
        }
        let optional = "[dependencies]\nasync-nats = { workspace = true, optional = true }\n";
        assert_eq!(lines("lock", optional), [2]);
    }

    #[test]
    fn a_technology_in_its_own_crate_and_in_tests_is_accepted() {
        assert_eq!(lines("redis", "[dependencies]\nredis-rs.workspace = true\ncache.workspace = true\n"), []);
        assert_eq!(lines("cache", "[dev-dependencies]\nredis-rs.workspace = true\n"), []);
    }
}
