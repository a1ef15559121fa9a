//! The built programs with a script before each service, which decides in what environment its next process runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use tempfile::TempDir;

use crate::binary;

/// The services.
pub const SERVICES: [&str; 3] = ["user", "order", "payment"];

/// A folder with a copy of `trireme`, which looks for the services beside itself, and a script for each of them.
#[derive(Debug)]
pub struct Wrapped(TempDir);

impl Wrapped {
    /// Scripts that change nothing yet.
    pub fn new() -> Result<Self> {
        let wrapped = Self(tempfile::tempdir()?);
        fs::copy(binary("trireme")?, wrapped.tool())?;
        for service in SERVICES {
            wrapped.set(service, &[])?;
            let script = wrapped.0.path().join(service);
            fs::write(&script, format!("#!/bin/sh\n. \"$0.env\"\nexec '{}' \"$@\"\n", binary(service)?.display()))?;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        }
        Ok(wrapped)
    }

    /// The copy of `trireme`.
    pub fn tool(&self) -> PathBuf {
        self.0.path().join("trireme")
    }

    /// Gives the next process of a service these variables, and no more those that were given before. A value has no `'`.
    pub fn set(&self, service: &str, variables: &[(&str, &str)]) -> Result<()> {
        let file = self.0.path().join(format!("{service}.env"));
        let lines: Vec<String> = variables.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        let lines = lines.concat();
        // A process that starts must not see half of it.
        let draft = file.with_extension("new");
        fs::write(&draft, lines)?;
        Ok(fs::rename(draft, file)?)
    }

    /// Has the next process of a service see a time that is so many seconds ahead of the machine's; the file that holds
    /// them may be changed at any time by [`Wrapped::shift`]. `library` is libfaketime.
    pub fn shiftable(&self, service: &str, library: &Path) -> Result<()> {
        self.shift(service, 0)?;
        let (library, file) = (library.display().to_string(), self.clock(service).display().to_string());
        let variables = [
            ("LD_PRELOAD", &*library),
            ("FAKETIME_TIMESTAMP_FILE", &*file),
            ("FAKETIME_NO_CACHE", "1"),
            // A clock that is set does not change how long anything takes.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        self.set(service, &variables)
    }

    /// Puts the clock of a [`Wrapped::shiftable`] service ahead of the machine's by so many seconds, or behind it.
    pub fn shift(&self, service: &str, seconds: i64) -> Result<()> {
        let (file, draft) = (self.clock(service), self.clock(service).with_extension("new"));
        fs::write(&draft, format!("{seconds:+}\n"))?;
        Ok(fs::rename(draft, file)?)
    }

    fn clock(&self, service: &str) -> PathBuf {
        self.0.path().join(format!("{service}.clock"))
    }
}
