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
