//! Which technologies a binary has is decided in `crates/backends` and nowhere else.

use super::{in_manifest, in_source};
use crate::Breach;
use crate::manifest::{Feature, Manifest};
use crate::source::{Source, Token, closing};

/// The registry of the adapters.
const REGISTRY: &str = "backends";
/// A crate's contract suite, which is no technology.
const SUITE: &str = "suite";
/// What a technology's client library is built with; code asks the library itself.
const TLS: &str = "tls";

/// Code that depends on a feature stands in the registry, but for contract suites.
pub(super) fn features_are_asked_in_the_registry(source: &Source) -> Vec<Breach> {
    if source.components().starts_with(&["crates", REGISTRY]) {
        return Vec::new();
    }
    let tokens = source.tokens();
    let conditions = tokens.iter().enumerate().filter_map(|(index, _)| condition(&tokens, index));
    let features = conditions.flatten().filter(|token| token.text == "feature");
    features
        .filter_map(|token| {
            let name = source.text[token.at..].split('"').nth(1).unwrap_or_default();
            let detail = format!(
                "`feature = \"{name}\"`: only crates/{REGISTRY} decides what a binary is built with; \
                 put the adapter into a crate of its own and register it there"
            );
            (name != SUITE).then(|| in_source(source, source.line(token.at), "feature", detail))
        })
        .collect()
}

/// A feature for a technology is the registry's; services and tools pass theirs on to it. A technology's crate may pass
/// on to its client library whether that is built with TLS.
pub(super) fn features_pass_on(manifest: &Manifest) -> Vec<Breach> {
    let (folder, name) = manifest.package();
    if (folder, name) == ("crates", REGISTRY) {
        return Vec::new();
    }
    let own = |feature: &str| manifest.features.iter().any(|other| other.name == feature);
    let passes_on = |feature: &&Feature| {
        let is_suite = feature.name == SUITE && folder == "crates";
        let is_of_a_library = || !feature.enables.is_empty() && feature.enables.iter().all(|on| on.contains('/'));
        let is_tls = feature.name == TLS && folder == "crates" && is_of_a_library();
        let registry = format!("{REGISTRY}/");
        let passed = || feature.enables.iter().all(|enabled| own(enabled) || enabled.starts_with(&registry));
        is_suite || is_tls || (folder != "crates" && !feature.enables.is_empty() && passed())
    };
    let features = manifest.features.iter().filter(|feature| !passes_on(feature));
    features
        .map(|feature| {
            let detail = format!(
                "feature `{}`: what a binary is built with is decided in crates/{REGISTRY}; a service's feature turns on \
                 one of its features and nothing else",
                feature.name
            );
            in_manifest(manifest, feature.line, "feature", detail)
        })
        .collect()
}

/// The tokens within `cfg(…)`, `cfg_attr(…)` or `cfg!(…)`, when it begins at `index`.
fn condition<'t, 'a>(tokens: &'t [Token<'a>], index: usize) -> Option<&'t [Token<'a>]> {
    if !["cfg", "cfg_attr"].contains(&tokens[index].text) {
        return None;
    }
    let open = if tokens.get(index + 1)?.text == "!" { index + 2 } else { index + 1 };
    (tokens.get(open)?.text == "(").then(|| &tokens[open..closing(tokens, open)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_outside_the_registry_is_named() {
        let text = "#[cfg(feature = \"kafka\")]\nmod a;\n#[cfg_attr(not(feature = \"nats\"), allow(dead_code))]\nfn b() \
            {\n    if cfg!(any(test, feature = \"redis\")) {}\n}\n#![cfg(feature = \"a\")]";
        let breaches = features_are_asked_in_the_registry(&Source::new("services/user/src/wiring.rs", text));
        assert_eq!(breaches.iter().map(|breach| breach.line).collect::<Vec<_>>(), [1, 3, 5, 7]);
        assert!(breaches[1].detail.contains("`feature = \"nats\"`"), "{}", breaches[1].detail);
        assert_eq!(features_are_asked_in_the_registry(&Source::new("crates/backends/src/bus.rs", text)), []);
    }

    #[test]
    fn a_feature_that_is_not_passed_on_is_named() {
        let lines = |file: &str, features: &str| -> Vec<usize> {
            let manifest = Manifest::parse(file.into(), &format!("[features]\n{features}")).unwrap();
            features_pass_on(&manifest).iter().map(|breach| breach.line).collect()
        };
        let passed = "default = [\"kafka\"]\nkafka = [\"backends/kafka\"]\n";
        assert_eq!(lines("services/user/Cargo.toml", passed), []);
        assert_eq!(lines("services/user/Cargo.toml", "kafka = [\"dep:rdkafka\"]\nbare = []\n"), [3, 2]);
        assert_eq!(lines("crates/cache/Cargo.toml", "suite = [\"dep:testkit\"]\nredis = []\n"), [3]);
        assert_eq!(lines("crates/kafka/Cargo.toml", "tls = [\"rdkafka/ssl-vendored\"]\n"), []);
        assert_eq!(lines("crates/kafka/Cargo.toml", "tls = [\"dep:rustls\"]\nssl = [\"rdkafka/ssl\"]\n"), [3, 2]);
        assert_eq!(lines("services/user/Cargo.toml", "tls = [\"rdkafka/ssl-vendored\"]\n"), [2]);
        assert_eq!(lines("crates/backends/Cargo.toml", "redis = [\"dep:redis\"]\n"), []);
    }

    #[test]
    fn suites_tests_and_platforms_may_be_asked_for() {
        let text =
            "#[cfg(feature = \"suite\")]\npub mod suite;\n#[cfg(test)]\nmod tests;\n#[cfg(unix)]\nfn feature() {}";
        assert_eq!(features_are_asked_in_the_registry(&Source::new("crates/cache/src/lib.rs", text)), []);
    }
}
