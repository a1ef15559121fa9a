//! The files that are made are as they are made, agree with each other, and with the runbook.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of them")]

mod bounds;
mod generated;
mod runbook;

use std::path::{Path, PathBuf};

use monitoring::Sources;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn sources() -> Sources {
    Sources::read(&root().join("deploy")).unwrap()
}
