//! Which technologies a binary has is decided in `crates/backends` and nowhere else.

use super::in_source;
use crate::Breach;
use crate::source::{Source, Token, closing};

/// The registry of the adapters.
const REGISTRY: &str = "backends";
/// A crate's contract suite, which is no technology.
const SUITE: &str = "suite";

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
    fn suites_tests_and_platforms_may_be_asked_for() {
        let text =
            "#[cfg(feature = \"suite\")]\npub mod suite;\n#[cfg(test)]\nmod tests;\n#[cfg(unix)]\nfn feature() {}";
        assert_eq!(features_are_asked_in_the_registry(&Source::new("crates/cache/src/lib.rs", text)), []);
    }
}
