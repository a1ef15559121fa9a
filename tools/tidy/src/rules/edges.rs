//! Which package may depend on which: services on crates, crates on the crates below them, nobody on a service.

use super::in_manifest;
use crate::Breach;
use crate::manifest::{Dependency, Manifest};

/// Every crate and the crates it may use. A new edge needs an ADR and a line here.
const EDGES: [(&str, &[&str]); 27] = [
    ("auth", &["clock", "error", "resilience", "semconv"]),
    (
        "backends",
        &[
            "cache",
            "clock",
            "kafka",
            "limit",
            "lock",
            "messaging",
            "mongodb",
            "nats",
            "postgres",
            "rabbitmq",
            "redis",
            "sqlite",
        ],
    ),
    ("cache", &["clock", "resilience", "semconv"]),
    ("chassis", &["config", "error", "resilience", "semconv", "telemetry"]),
    ("client", &["auth", "config", "error", "resilience", "semconv", "telemetry"]),
    ("clock", &[]),
    ("config", &[]),
    ("elasticsearch", &["client"]),
    ("error", &[]),
    ("kafka", &["clock", "messaging"]),
    ("limit", &[]),
    ("lock", &["clock", "resilience", "semconv"]),
    ("messaging", &["clock", "resilience", "semconv", "telemetry"]),
    ("mongodb", &["clock", "messaging", "semconv", "telemetry"]),
    ("money", &[]),
    ("nats", &["clock", "messaging", "resilience"]),
    ("postgres", &["clock", "lock", "messaging", "sql"]),
    ("proto", &[]),
    ("rabbitmq", &["clock", "messaging", "resilience"]),
    ("redis", &["cache", "limit", "lock", "resilience", "semconv"]),
    ("resilience", &[]),
    ("semconv", &[]),
    ("servers", &[]),
    ("sql", &["semconv", "telemetry"]),
    ("sqlite", &["clock", "messaging", "sql"]),
    ("telemetry", &["config", "error", "resilience", "semconv"]),
    ("testkit", &["clock", "servers"]),
];
const SERVICES: [&str; 3] = ["order", "payment", "user"];
const TOOLS: [&str; 3] = ["monitoring", "tidy", "trireme"];

/// Whether the name is that of a crate of ours.
pub(super) fn is_crate(name: &str) -> bool {
    EDGES.iter().any(|(known, _)| *known == name)
}

fn breach(manifest: &Manifest, dependency: &Dependency, rule: &'static str, why: &str) -> Breach {
    in_manifest(manifest, dependency.line, rule, format!("`{}`: {why}", dependency.name))
}

/// A crate uses the crates of the table and none of the services and tools.
pub(super) fn crates_know_crates(manifest: &Manifest) -> Vec<Breach> {
    let (folder, name) = manifest.package();
    if folder != "crates" {
        return Vec::new();
    }
    let Some((_, below)) = EDGES.iter().find(|(known, _)| *known == name) else {
        let detail = format!("`{name}` is new: write an ADR and add it to tools/tidy/src/rules/edges.rs");
        return vec![in_manifest(manifest, 1, "crate-edge", detail)];
    };
    // Tests may use what they like, but for the crate's own; testkit has a rule to itself.
    let ours = manifest.dependencies.iter().filter(|d| !d.dev && d.name != "testkit" && is_crate(&d.name));
    ours.filter(|d| !below.contains(&d.name.as_str()))
        .map(|d| {
            let why =
                format!("`{name}` does not use it: write an ADR and add the edge to tools/tidy/src/rules/edges.rs");
            breach(manifest, d, "crate-edge", &why)
        })
        .collect()
}

/// Nobody depends on a service: services meet in proto/ and in events, tools and e2e talk to the real binaries.
pub(super) fn services_stand_alone(manifest: &Manifest) -> Vec<Breach> {
    let (folder, _) = manifest.package();
    let named = |d: &&Dependency, names: &[&str]| names.contains(&d.name.trim_start_matches("trireme-"));
    let services = manifest.dependencies.iter().filter(|d| named(d, &SERVICES)).map(|d| {
        breach(
            manifest,
            d,
            "service-edge",
            "nobody depends on a service: meet in proto/ and events, or over its interface",
        )
    });
    let tools = manifest
        .dependencies
        .iter()
        .filter(|d| named(d, &TOOLS) && folder != "e2e")
        .map(|d| breach(manifest, d, "service-edge", "crates, services and tools do not depend on a tool"));
    services.chain(tools).collect()
}

/// testkit is for tests; a crate with a contract suite has it behind a feature.
pub(super) fn testkit_is_for_tests(manifest: &Manifest) -> Vec<Breach> {
    let shipped = manifest.dependencies.iter().filter(|d| d.name == "testkit" && !d.dev && !d.optional);
    shipped.map(|d| breach(manifest, d, "testkit", "a dev-dependency only, or optional for a contract suite")).collect()
}

/// Versions, lints and `publish = false` are written once, in the root manifest.
pub(super) fn root_decides(manifest: &Manifest) -> Vec<Breach> {
    // A crate may ask for itself with its contract suite, which cannot be written in the root manifest.
    let itself = |d: &Dependency| d.dev && d.name.strip_prefix("trireme-") == Some(manifest.package().1);
    let own = manifest.dependencies.iter().filter(|d| !d.inherited && !itself(d)).map(|d| {
        breach(manifest, d, "manifest", "the version belongs into [workspace.dependencies], here `.workspace = true`")
    });
    let mut breaches: Vec<Breach> = own.collect();
    if !manifest.inherits_lints {
        breaches.push(in_manifest(manifest, 1, "manifest", "`[lints] workspace = true` is missing".to_owned()));
    }
    if !manifest.unpublished {
        breaches.push(in_manifest(manifest, 1, "manifest", "`publish.workspace = true` is missing".to_owned()));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(file: &str, dependencies: &str) -> Manifest {
        let text = format!("[package]\npublish.workspace = true\n[lints]\nworkspace = true\n{dependencies}");
        Manifest::parse(file.into(), &text).unwrap()
    }

    fn shown(breaches: &[Breach]) -> Vec<(usize, &str)> {
        breaches.iter().map(|breach| (breach.line, breach.rule)).collect()
    }

    #[test]
    fn a_crate_that_uses_one_above_it_is_named() {
        let bad = manifest("crates/clock/Cargo.toml", "[dependencies]\ntime.workspace = true\nauth.workspace = true\n");
        assert_eq!(shown(&crates_know_crates(&bad)), [(7, "crate-edge")]);
        let good =
            manifest("crates/auth/Cargo.toml", "[dependencies]\nclock.workspace = true\nerror.workspace = true\n");
        assert_eq!(crates_know_crates(&good), []);
        let tests = manifest("crates/clock/Cargo.toml", "[dev-dependencies]\nauth.workspace = true\n");
        assert_eq!(crates_know_crates(&tests), []);
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_named() {
        assert_eq!(shown(&crates_know_crates(&manifest("crates/helpers/Cargo.toml", ""))), [(1, "crate-edge")]);
    }

    #[test]
    fn the_table_knows_its_own_names_and_has_no_circle() {
        for (name, below) in EDGES {
            for edge in below {
                let (_, next) = EDGES.iter().find(|(known, _)| known == edge).unwrap();
                assert!(!next.contains(&name), "{name} and {edge}");
            }
        }
    }

    #[test]
    fn whoever_depends_on_a_service_is_named() {
        for file in ["services/user/Cargo.toml", "crates/auth/Cargo.toml", "tools/trireme/Cargo.toml", "e2e/Cargo.toml"]
        {
            for section in ["dependencies", "dev-dependencies"] {
                let bad = manifest(file, &format!("[{section}]\norder.workspace = true\n"));
                assert_eq!(shown(&services_stand_alone(&bad)), [(6, "service-edge")], "{file}");
            }
        }
        let prefixed = manifest("services/user/Cargo.toml", "[dependencies]\ntrireme-order.path = \"../order\"\n");
        assert_eq!(shown(&services_stand_alone(&prefixed)), [(6, "service-edge")]);
    }

    #[test]
    fn only_the_end_to_end_tests_use_the_tool() {
        let tool = "[dependencies]\ntrireme.workspace = true\n";
        assert_eq!(services_stand_alone(&manifest("e2e/Cargo.toml", tool)), []);
        let bad = manifest("services/user/Cargo.toml", tool);
        assert_eq!(shown(&services_stand_alone(&bad)), [(6, "service-edge")]);
    }

    #[test]
    fn testkit_in_what_is_shipped_is_named() {
        let bad = manifest("services/user/Cargo.toml", "[dependencies]\ntestkit.workspace = true\n");
        assert_eq!(shown(&testkit_is_for_tests(&bad)), [(6, "testkit")]);
        let good = "[dependencies]\ntestkit = { workspace = true, optional = true }\n";
        assert_eq!(testkit_is_for_tests(&manifest("crates/messaging/Cargo.toml", good)), []);
        let tests = "[dev-dependencies]\ntestkit.workspace = true\n";
        assert_eq!(testkit_is_for_tests(&manifest("services/user/Cargo.toml", tests)), []);
    }

    #[test]
    fn a_manifest_that_decides_for_itself_is_named() {
        let bad = manifest("services/user/Cargo.toml", "[dependencies]\nserde = \"1\"\n");
        assert_eq!(shown(&root_decides(&bad)), [(6, "manifest")]);
        let itself = "[dev-dependencies]\ntrireme-cache = { path = \".\", features = [\"suite\"] }\n";
        assert_eq!(root_decides(&manifest("crates/cache/Cargo.toml", itself)), []);
        assert_eq!(shown(&root_decides(&manifest("crates/lock/Cargo.toml", itself))), [(6, "manifest")]);
        let bare = Manifest::parse("e2e/Cargo.toml".into(), "[package]\nname = \"e2e\"\n").unwrap();
        assert_eq!(shown(&root_decides(&bare)), [(1, "manifest"), (1, "manifest")]);
    }
}
