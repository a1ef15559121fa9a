//! A small file system that can be full.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use tempfile::TempDir;

/// In memory, and gone when dropped.
pub(crate) struct Disk(TempDir);

impl Disk {
    /// Of so many mebibytes; root alone may mount it.
    pub(crate) fn mount(mebibytes: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let options = format!("size={mebibytes}m,mode=0711");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "faults"]).arg(folder.path()).status()?;
        ensure!(mounted.success(), "mount: {mounted}");
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Takes what room there is, to the last page.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        for size in [1 << 20, 4096] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    }

    /// Gives it back.
    pub(crate) fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        match Command::new("umount").arg(self.0.path()).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("{} is still mounted: {other:?}", self.0.path().display()),
        }
    }
}
