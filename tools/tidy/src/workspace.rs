//! Reads the workspace: every manifest and every Rust file of ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::Manifest;
use crate::source::Source;

/// The folders that hold our packages.
const FOLDERS: [&str; 4] = ["crates", "services", "tools", "e2e"];

/// A workspace that cannot be read.
#[derive(Debug)]
pub enum Error {
    /// A file or folder cannot be read.
    Read(PathBuf, io::Error),
    /// A manifest is not TOML.
    Toml(PathBuf, String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Toml(path, detail) => write!(f, "{} is not TOML: {detail}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// Everything that the rules look at.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) sources: Vec<Source>,
}

pub(crate) fn read(root: &Path) -> Result<Workspace, Error> {
    let mut workspace = Workspace::default();
    for folder in FOLDERS {
        let path = root.join(folder);
        if path.is_dir() {
            walk(root, &path, &mut workspace)?;
        }
    }
    Ok(workspace)
}

fn walk(root: &Path, folder: &Path, workspace: &mut Workspace) -> Result<(), Error> {
    let failed = |error| Error::Read(folder.to_owned(), error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(root, &path, workspace)?;
            }
            continue;
        }
        let shown = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let text = || fs::read_to_string(&path).map_err(|error| Error::Read(shown.clone(), error));
        if name == "Cargo.toml" {
            let manifest = Manifest::parse(shown.clone(), &text()?).map_err(|detail| Error::Toml(shown, detail))?;
            workspace.manifests.push(manifest);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            workspace.sources.push(Source::new(shown.clone(), text()?));
        }
    }
    Ok(())
}
