//! Where a database is, from its URL.

use std::path::{Path, PathBuf};

/// A file, or the memory of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A database that ends with its connection.
    Memory,
    /// A file, made when it is missing.
    File {
        /// Where it is.
        path: PathBuf,
        /// Whether each commit waits for the disk.
        full: bool,
    },
}

impl Location {
    /// Reads `sqlite://path`, `sqlite:path` and `sqlite::memory:`; anything else is `None`.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("sqlite:")?;
        if rest == ":memory:" || rest == "//:memory:" {
            return Some(Self::Memory);
        }
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, full) = match rest.split_once('?') {
            None | Some((_, "synchronous=normal")) => (rest.split('?').next().unwrap_or(rest), false),
            Some((path, "synchronous=full")) => (path, true),
            Some(_) => return None,
        };
        (!path.is_empty()).then(|| Self::File { path: PathBuf::from(path), full })
    }

    /// Makes the parent folder and the file, readable by the owner only.
    ///
    /// SQLite gives its own companion files (`-wal`, `-shm`) the mode of the database.
    pub(crate) fn prepare(path: &Path) -> std::io::Result<()> {
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map(drop)
    }
}

/// Which file a path leads to.
///
/// Whoever has a database open goes on with that file when its path leads to another one, or to none: everything works, and
/// is gone with the process. Opening the other one is no way out: the log of the first would be taken for its own
/// (<https://www.sqlite.org/howtocorrupt.html>, section 2.4 and 4.2).
#[derive(Debug, Clone)]
pub(crate) struct InUse {
    path: PathBuf,
    file: Option<Id>,
}

/// The device and the number of a file there.
type Id = (u64, u64);

impl InUse {
    /// The file to which the path leads now.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: id(&path.metadata()?) })
    }

    /// Fails where the path leads somewhere else.
    pub(crate) fn check(&self) -> std::io::Result<()> {
        let what = match self.path.metadata() {
            Ok(metadata) if id(&metadata) == self.file => return Ok(()),
            Ok(_) => "replaced by another file",
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "moved or removed",
            Err(error) => return Err(error),
        };
        Err(std::io::Error::other(format!(
            "{} was {what} while it was in use: put it back, or stop the service, put a whole copy there without -wal and \
             -shm files of another, and start it again",
            self.path.display()
        )))
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn id(metadata: &std::fs::Metadata) -> Option<Id> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn id(_: &std::fs::Metadata) -> Option<Id> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let file = |path: &str, full| Some(Location::File { path: path.into(), full });
        for (url, expected) in [
            ("sqlite::memory:", Some(Location::Memory)),
            ("sqlite://.trireme/user.db", file(".trireme/user.db", false)),
            ("sqlite:///var/lib/user.db", file("/var/lib/user.db", false)),
            ("sqlite:user.db", file("user.db", false)),
            ("sqlite://user.db?synchronous=normal", file("user.db", false)),
            ("sqlite://user.db?synchronous=full", file("user.db", true)),
            ("sqlite://", None),
            ("sqlite://?synchronous=full", None),
            ("sqlite://user.db?mode=ro", None),
            ("postgres://localhost", None),
            ("user.db", None),
        ] {
            assert_eq!(Location::parse(url), expected, "{url}");
        }
    }
}
