//! The rules over this workspace, and over made-up ones that break them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

use tempfile::TempDir;
use tidy::check;

#[test]
fn this_workspace_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    assert!(root.join("crates/clock/Cargo.toml").is_file(), "the rules look at the right folder");
    let breaches: Vec<String> = check(&root).unwrap().iter().map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

/// A workspace with these files.
fn workspace(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

/// File, line and rule of each breach in it.
fn found(root: &TempDir) -> Vec<(String, usize, &'static str)> {
    let breaches = check(root.path()).unwrap();
    breaches.into_iter().map(|breach| (breach.file.display().to_string(), breach.line, breach.rule)).collect()
}

const MANIFEST: &str = "[package]\npublish = false\n[lints]\nworkspace = true\n[dependencies]\n";

#[test]
fn a_bad_workspace_is_refused_with_file_line_and_rule() {
    let manifest = format!("{MANIFEST}order.workspace = true\n");
    let root = workspace(&[
        ("services/user/Cargo.toml", &manifest),
        ("services/user/src/lib.rs", "#![warn(missing_docs)]\npub mod app;\n"),
        ("services/user/src/app/mod.rs", "//! The use cases.\nuse crate::adapters::sqlite;\n"),
        ("services/user/target/debug/out.rs", "no head, but not ours\n"),
        ("docs/example.rs", "nor this\n"),
    ]);
    let expected = [
        ("services/user/Cargo.toml", 6, "service-edge"),
        ("services/user/src/app/mod.rs", 1, "mod-rs"),
        ("services/user/src/app/mod.rs", 2, "layer"),
        ("services/user/src/lib.rs", 1, "file-head"),
    ];
    assert_eq!(found(&root), expected.map(|(file, line, rule)| (file.to_owned(), line, rule)));
}

#[test]
fn technology_planted_into_a_layer_is_refused_line_by_line() {
    let domain = "//! One user.\nuse mongodb::Client;\nuse redis_rs::Commands;\nuse bson::doc;\nuse async_nats::Client as Bus;\n\
        use deadpool_redis::Pool;\nfn f() { reqwest::get(x); }\nextern crate sqlx;\n";
    let app = "//! A use case.\nuse rdkafka::Message;\nuse lapin::Channel;\nuse elasticsearch::Elasticsearch;\n\
        use client::Grpc;\nfn f() { std::fs::read(x); }\nfn g() { ::tonic::Status::ok(x); }\nuse tokio::{net, sync};\n";
    let root = workspace(&[
        ("services/user/Cargo.toml", &format!("{MANIFEST}mongodb.workspace = true\nredis-rs.workspace = true\n")),
        ("services/user/src/lib.rs", "//! The users.\n#![warn(missing_docs)]\npub mod app;\npub mod domain;\n"),
        ("services/user/src/app.rs", app),
        ("services/user/src/domain.rs", domain),
    ]);
    let lines = |file: &'static str| (2..=8).map(move |line| (file.to_owned(), line, "layer-technology"));
    let expected: Vec<_> = lines("services/user/src/app.rs").chain(lines("services/user/src/domain.rs")).collect();
    assert_eq!(found(&root), expected);
}

#[test]
fn what_concerns_several_files_is_refused_too() {
    const LIBRARY: &str =
        "#![doc = include_str!(\"../README.md\")]\n#![warn(missing_docs)]\nmod a;\nmod b;\npub mod suite;\n";
    let root = workspace(&[
        ("crates/lock/Cargo.toml", MANIFEST),
        ("crates/lock/README.md", "# lock\n\nSee [the bus](../bus/README.md).\n"),
        ("crates/lock/src/lib.rs", LIBRARY),
        ("crates/lock/src/a.rs", "//! The first.\nuse crate::b::B;\n"),
        ("crates/lock/src/b.rs", "//! The second.\n#[cfg(feature = \"redis\")]\nuse crate::a::A;\n"),
        ("crates/lock/src/suite.rs", "//! The contract.\npub async fn a_case() {}\n"),
    ]);
    let expected = [
        ("crates/lock/README.md", 3, "doc-path"),
        ("crates/lock/src/a.rs", 2, "module-cycle"),
        ("crates/lock/src/b.rs", 2, "feature"),
        ("crates/lock/src/b.rs", 3, "module-cycle"),
        ("crates/lock/src/suite.rs", 2, "suite-case"),
    ];
    assert_eq!(found(&root), expected.map(|(file, line, rule)| (file.to_owned(), line, rule)));
}

#[test]
fn a_manifest_that_is_no_toml_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("e2e")).unwrap();
    std::fs::write(root.path().join("e2e/Cargo.toml"), "[package").unwrap();
    assert!(check(root.path()).unwrap_err().to_string().contains("e2e/Cargo.toml is not TOML"));
}
