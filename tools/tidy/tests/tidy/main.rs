//! The rules over this workspace, and over a made-up one that breaks them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

use tidy::check;

#[test]
fn this_workspace_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    assert!(root.join("crates/clock/Cargo.toml").is_file(), "the rules look at the right folder");
    let breaches: Vec<String> = check(&root).unwrap().iter().map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn a_bad_workspace_is_refused_with_file_line_and_rule() {
    let root = testkit::temp_dir();
    let write = |file: &str, text: &str| {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let manifest = "[package]\npublish = false\n[lints]\nworkspace = true\n[dependencies]\norder.workspace = true\n";
    write("services/user/Cargo.toml", manifest);
    write("services/user/src/lib.rs", "pub mod app;\n");
    write("services/user/src/app/mod.rs", "//! The use cases.\nuse crate::adapters::sqlite;\n");
    write("services/user/target/debug/out.rs", "no head, but not ours\n");
    write("docs/example.rs", "nor this\n");

    let breaches = check(root.path()).unwrap();
    let found: Vec<_> = breaches.iter().map(|b| (b.file.to_str().unwrap(), b.line, b.rule)).collect();
    assert_eq!(
        found,
        [
            ("services/user/Cargo.toml", 6, "service-edge"),
            ("services/user/src/app/mod.rs", 1, "mod-rs"),
            ("services/user/src/app/mod.rs", 2, "layer"),
            ("services/user/src/lib.rs", 1, "file-head"),
        ]
    );
}

#[test]
fn a_manifest_that_is_no_toml_is_an_error() {
    let root = testkit::temp_dir();
    std::fs::create_dir_all(root.path().join("e2e")).unwrap();
    std::fs::write(root.path().join("e2e/Cargo.toml"), "[package").unwrap();
    assert!(check(root.path()).unwrap_err().to_string().contains("e2e/Cargo.toml is not TOML"));
}
