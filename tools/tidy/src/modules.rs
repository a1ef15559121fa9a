//! The modules of a crate, from its root file down, and which of them a path leads to.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};

use crate::source::{Path, Source};

/// A module's names from the root of its crate.
pub(crate) type ModulePath = Vec<String>;

/// One module and what it contains.
#[derive(Debug)]
pub(crate) struct Module<'a> {
    /// The file that contains it.
    pub(crate) source: &'a Source,
    /// The bytes of that file which are this module; modules within it are included.
    body: Range<usize>,
    /// Whether it is compiled for tests only.
    test: bool,
    /// What its `use` declarations name, with the path behind each name.
    names: HashMap<String, Vec<String>>,
}

/// The modules of a crate.
#[derive(Debug, Default)]
pub(crate) struct Modules<'a> {
    found: BTreeMap<ModulePath, Module<'a>>,
}

/// How many re-exports in a row are followed.
const MAX_HOPS: usize = 8;

impl<'a> Modules<'a> {
    /// Reads the modules below the file `root`, such as `crates/lock/src/lib.rs`; `files` has every file by its path.
    pub(crate) fn read(root: &FilePath, files: &HashMap<&FilePath, &'a Source>) -> Self {
        let mut modules = Self::default();
        if let Some(source) = files.get(root) {
            let folder = root.parent().unwrap_or(root).to_owned();
            modules.add_file(source, &[], &folder, false, files);
        }
        modules
    }

    /// Every module with its path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ModulePath, &Module<'a>)> {
        self.found.iter()
    }

    fn add_file(
        &mut self,
        source: &'a Source,
        own: &[String],
        folder: &FilePath,
        test: bool,
        files: &HashMap<&FilePath, &'a Source>,
    ) {
        let spans = source.test_spans();
        let contained = source.modules();
        let at = |at: usize| -> ModulePath {
            let around = contained.iter().filter(|module| module.body.as_ref().is_some_and(|body| body.contains(&at)));
            own.iter().cloned().chain(around.map(|module| module.name.to_owned())).collect()
        };
        let whole = Module { source, body: 0..source.code.len(), test, names: HashMap::new() };
        self.found.insert(own.to_vec(), whole);
        for module in &contained {
            let mut path = at(module.at);
            let inner = &path[own.len()..];
            let folder = inner.iter().fold(folder.to_owned(), |folder, name| folder.join(name));
            path.push(module.name.to_owned());
            let test = test || spans.iter().any(|span| span.contains(&module.at));
            if let Some(body) = module.body.clone() {
                self.found.insert(path, Module { source, body, test, names: HashMap::new() });
            } else {
                let file = source.path_attribute(&module.attributes).map_or_else(
                    || folder.join(format!("{}.rs", module.name)),
                    |file| source.file.parent().unwrap_or(&folder).join(file),
                );
                if let Some(child) = files.get(file.as_path()) {
                    self.add_file(child, &path, &inner_folder(&file), test, files);
                }
            }
        }
        for path in source.paths() {
            let (Some(name), false) = (path.name, path.absolute) else { continue };
            if let Some(module) = self.found.get_mut(&at(path.at)) {
                let segments = path.segments.iter().map(|&segment| segment.to_owned()).collect();
                module.names.insert(name.to_owned(), segments);
            }
        }
    }

    /// Whether a module is compiled for tests only.
    pub(crate) fn is_test(&self, path: &ModulePath) -> bool {
        self.found.get(path).is_some_and(|module| module.test)
    }

    /// The module, by its path, that contains the byte `at` of `source`.
    pub(crate) fn containing(&self, source: &Source, at: usize) -> Option<&ModulePath> {
        let around =
            self.found.iter().filter(|(_, module)| std::ptr::eq(module.source, source) && module.body.contains(&at));
        around.max_by_key(|(path, _)| path.len()).map(|(path, _)| path)
    }

    /// The innermost module that a path, written in `from`, leads to; none when it leads out of the crate.
    pub(crate) fn target(&self, from: &ModulePath, path: &Path<'_>) -> Option<ModulePath> {
        if path.absolute {
            return None;
        }
        let segments: Vec<String> = path.segments.iter().map(|&segment| segment.to_owned()).collect();
        // What a `use` names is not found by its own name.
        let own = path.name.filter(|name| path.segments.first() == Some(name));
        self.follow(from, &segments, own, MAX_HOPS)
    }

    fn follow(&self, from: &ModulePath, segments: &[String], own: Option<&str>, hops: usize) -> Option<ModulePath> {
        let hops = hops.checked_sub(1)?;
        let mut at = from.clone();
        let mut rest = segments;
        match segments.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            first if self.has(&at, first) => {}
            first => {
                let named = self.found.get(&at)?.names.get(first).filter(|_| own != Some(first))?;
                let joined: Vec<String> = named.iter().chain(&rest[1..]).cloned().collect();
                return self.follow(from, &joined, None, hops);
            }
        }
        while let Some((next, after)) = rest.split_first() {
            if self.has(&at, next) {
                at.push(next.clone());
                rest = after;
            } else if let Some(named) = self.found.get(&at).and_then(|module| module.names.get(next)) {
                let joined: Vec<String> = named.iter().chain(after).cloned().collect();
                // An item of another crate is where it was taken from, as far as this crate is concerned.
                return self.follow(&at, &joined, Some(next), hops).or(Some(at));
            } else {
                break;
            }
        }
        Some(at)
    }

    fn has(&self, parent: &ModulePath, name: &str) -> bool {
        let mut path = parent.clone();
        path.push(name.to_owned());
        self.found.contains_key(&path)
    }
}

/// Where the modules lie that a file declares: `a/b.rs` has its own in `a/b`.
fn inner_folder(file: &FilePath) -> PathBuf {
    file.with_extension("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(files: &[(&str, &str)], from: &str) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(file, text)| Source::new(*file, *text)).collect();
        let by_path: HashMap<_, _> = sources.iter().map(|source| (source.file.as_path(), source)).collect();
        let modules = Modules::read(FilePath::new("src/lib.rs"), &by_path);
        let source = by_path[FilePath::new(from)];
        let target = |path: &Path<'_>| {
            let from = modules.containing(source, path.at).unwrap();
            modules.target(from, path).map_or_else(|| "outside".to_owned(), |path| path.join("::"))
        };
        source.paths().iter().map(target).collect()
    }

    #[test]
    fn paths_lead_to_modules_through_imports_and_re_exports() {
        let files = [
            ("src/lib.rs", "mod a; mod b; pub use b::c::Thing; use other::Foreign;"),
            (
                "src/a.rs",
                "mod inner;\nuse crate::Thing;\nuse super::b;\nuse other::X;\nfn f() { b::c::g(); inner::h(); X::i(); }",
            ),
            ("src/a/inner.rs", "use super::super::b::c; use crate::Foreign; mod m { use super::c::Y; use self::Z; }"),
            ("src/b.rs", "pub mod c;"),
            ("src/b/c.rs", "pub struct Thing;"),
        ];
        assert_eq!(targets(&files, "src/a.rs"), ["b::c", "b", "outside", "b::c", "a::inner", "outside"]);
        assert_eq!(targets(&files, "src/a/inner.rs"), ["b::c", "", "b::c", "a::inner::m"]);
    }

    #[test]
    fn modules_for_tests_are_known_wherever_their_file_is() {
        let files = [
            (
                "src/lib.rs",
                "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\n#[cfg(test)] mod more { mod inner; }\nmod a;",
            ),
            ("src/a_tests.rs", ""),
            ("src/more/inner.rs", ""),
            ("src/a.rs", ""),
        ];
        let sources: Vec<Source> = files.iter().map(|(file, text)| Source::new(*file, *text)).collect();
        let by_path = sources.iter().map(|source| (source.file.as_path(), source)).collect();
        let modules = Modules::read(FilePath::new("src/lib.rs"), &by_path);
        let found: Vec<_> = modules.iter().map(|(path, module)| (path.join("::"), module.test)).collect();
        let expected = [("", false), ("a", false), ("more", true), ("more::inner", true), ("tests", true)];
        assert_eq!(found, expected.map(|(path, test)| (path.to_owned(), test)));
    }
}
