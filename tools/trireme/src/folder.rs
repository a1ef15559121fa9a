//! The data folder: databases, secrets, logs, state, and the lock that says whether a supervisor runs.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// A data folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Opens a folder, making it where it is not there.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path.join("logs"));
        made.with_context(|| format!("cannot make the data folder {}", path.display()))?;
        Ok(Self(path.canonicalize()?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn log(&self, service: &str) -> PathBuf {
        self.0.join("logs").join(format!("{service}.log"))
    }

    /// Opens a log for appending.
    pub(crate) fn open_log(&self, service: &str) -> Result<File> {
        let path = self.log(service);
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        opened.with_context(|| format!("cannot write {}", path.display()))
    }

    /// The last lines of a log.
    pub(crate) fn tail(&self, service: &str, lines: usize) -> String {
        let text = fs::read_to_string(self.log(service)).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Reads a secret, made with 256 random bits on first use, readable by its owner only.
    pub(crate) fn secret(&self, name: &str) -> Result<String> {
        let path = self.file(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
                file.write_all(secret.as_bytes())?;
                Ok(secret)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(fs::read_to_string(&path)?.trim().to_owned()),
            Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
        }
    }

    /// Takes the folder for one supervisor; `None` while another one has it. Held as long as the file is.
    pub(crate) fn lock(&self) -> Result<Option<File>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.file("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock the data folder"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path()).unwrap();
        let secret = folder.secret("service.credential").unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(folder.secret("service.credential").unwrap(), secret);
        assert_ne!(folder.secret("webhook.secret").unwrap(), secret);
        let mode = fs::metadata(folder.file("service.credential")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn one_supervisor_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path()).unwrap();
        let held = folder.lock().unwrap();
        assert!(held.is_some() && folder.lock().unwrap().is_none());
        drop(held);
        assert!(folder.lock().unwrap().is_some());
    }
}
