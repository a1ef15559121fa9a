//! Reads the workspace: every manifest, every Rust file and every document of ours.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::document::Document;
use crate::manifest::Manifest;
use crate::source::Source;

/// The folders that hold our packages; in others no Rust and no manifest is read.
const PACKAGES: [&str; 4] = ["crates", "services", "tools", "e2e"];
/// The folders that hold no package, but documents and what they name.
const OTHERS: [&str; 6] = ["deploy", "docs", "helm", "istio", "proto", ".github"];

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
    pub(crate) documents: Vec<Document>,
    /// Every file and folder, from the root.
    pub(crate) paths: BTreeSet<PathBuf>,
}

impl Workspace {
    /// Whether a file or folder is there.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }
}

pub(crate) fn read(root: &Path) -> Result<Workspace, Error> {
    let mut workspace = Workspace::default();
    for entry in entries(root)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = |folders: &[&str]| folders.contains(&name.as_ref());
        if entry.is_file() {
            add(root, &entry, false, &mut workspace)?;
        } else if is_ours(&PACKAGES) || is_ours(&OTHERS) {
            walk(root, &entry, is_ours(&PACKAGES), &mut workspace)?;
        }
    }
    Ok(workspace)
}

fn walk(root: &Path, folder: &Path, package: bool, workspace: &mut Workspace) -> Result<(), Error> {
    workspace.paths.insert(shown(root, folder));
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() {
            // What it leads to is read where it is.
            workspace.paths.insert(shown(root, &path));
        } else if path.is_file() {
            add(root, &path, package, workspace)?;
        } else if name != "target" && !name.starts_with('.') {
            walk(root, &path, package, workspace)?;
        }
    }
    Ok(())
}

/// What is in a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::Read(folder.to_owned(), error);
    fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}

/// Adds a file; Rust and manifests only where it is of a package.
fn add(root: &Path, path: &Path, package: bool, workspace: &mut Workspace) -> Result<(), Error> {
    let file = shown(root, path);
    let text = || fs::read_to_string(path).map_err(|error| Error::Read(file.clone(), error));
    let extension = path.extension().unwrap_or_default();
    if package && path.ends_with("Cargo.toml") {
        let manifest = Manifest::parse(file.clone(), &text()?).map_err(|detail| Error::Toml(file.clone(), detail))?;
        workspace.manifests.push(manifest);
    } else if package && extension == "rs" {
        workspace.sources.push(Source::new(file.clone(), text()?));
    } else if extension == "md" {
        workspace.documents.push(Document::new(file.clone(), &text()?));
    }
    workspace.paths.insert(file);
    Ok(())
}

/// The path from the root of the workspace.
fn shown(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}
