//! Documents that are written from the code and committed, so that a change of them is seen.

use std::{env, fs, path::Path};

/// Checks that a file of the repository, by its path from the root, says what the code says; with `UPDATE=1` in the
/// environment it is written.
///
/// # Panics
///
/// When it says something else, or cannot be written.
#[track_caller]
pub fn committed(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    if env::var_os("UPDATE").is_some() {
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(&path, text));
        assert!(written.is_ok(), "{file} cannot be written: {written:?}");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{file} is not what the code says: run this test with UPDATE=1 and look at the difference");
}
