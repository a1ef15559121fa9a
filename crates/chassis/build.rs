//! Notes which compiler builds this, for the metric `build.info`.

use std::{env, process::Command};

fn main() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    // rustc 1.95.0 (59807616e 2026-04-14)
    println!("cargo::rustc-env=TRIREME_RUSTC={}", version.split(' ').nth(1).unwrap_or("unknown"));
    println!("cargo::rerun-if-changed=build.rs");
}
