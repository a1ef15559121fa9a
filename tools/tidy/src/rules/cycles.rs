//! Within a crate no two sibling modules use each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::in_source;
use crate::Breach;
use crate::modules::{ModulePath, Modules};
use crate::source::Source;
use crate::workspace::Workspace;

/// A use of one module by its sibling: the module around both, the user and the used.
type Edge = (ModulePath, String, String);

/// Checks the modules of every library and binary.
pub(super) fn no_module_uses_back(workspace: &Workspace) -> Vec<Breach> {
    let files: HashMap<&Path, &Source> =
        workspace.sources.iter().map(|source| (source.file.as_path(), source)).collect();
    let folders = workspace.manifests.iter().filter_map(|manifest| manifest.file.parent());
    let roots = folders.flat_map(|folder| ["src/lib.rs", "src/main.rs"].map(|root| folder.join(root)));
    roots.flat_map(|root| in_crate(&Modules::read(&root, &files))).collect()
}

fn in_crate(modules: &Modules<'_>) -> Vec<Breach> {
    let edges = edges(modules);
    let mut breaches = Vec::new();
    for ((parent, user, used), (source, at)) in &edges {
        let Some(back) = way_back(&edges, parent, used, user) else { continue };
        let detail =
            format!("`{user}` uses `{used}`, which leads back ({}): move what both need below them", back.join(" → "));
        breaches.push(in_source(source, source.line(*at), "module-cycle", detail));
    }
    breaches
}

/// Every use of a sibling, with the first place of it. What is compiled for tests only does not count.
fn edges<'a>(modules: &Modules<'a>) -> BTreeMap<Edge, (&'a Source, usize)> {
    let mut edges = BTreeMap::new();
    // A file once, although it may contain several modules.
    let files: BTreeMap<_, _> = modules.iter().map(|(_, module)| (&module.source.file, module.source)).collect();
    for source in files.into_values() {
        let tests = source.test_spans();
        for path in source.paths() {
            let Some(from) = modules.containing(source, path.at) else { continue };
            if modules.is_test(from) || tests.iter().any(|span| span.contains(&path.at)) {
                continue;
            }
            let Some(to) = modules.target(from, &path) else { continue };
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(user), Some(used)) = (from.get(common), to.get(common)) {
                let edge = (from[..common].to_vec(), user.clone(), used.clone());
                edges.entry(edge).or_insert((source, path.at));
            }
        }
    }
    edges
}

/// The modules from `start` to `end`, by the uses of siblings.
fn way_back(
    edges: &BTreeMap<Edge, (&Source, usize)>,
    parent: &ModulePath,
    start: &str,
    end: &str,
) -> Option<Vec<String>> {
    let mut seen = BTreeSet::from([start]);
    let mut ways = vec![vec![start]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = *way.last()?;
            if last == end {
                return Some(way.into_iter().map(str::to_owned).collect());
            }
            for (_, _, next) in edges.keys().filter(|(around, user, _)| around == parent && user == last) {
                if seen.insert(next) {
                    longer.push([way.as_slice(), &[next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let sources: Vec<Source> = files.iter().map(|(file, text)| Source::new(*file, *text)).collect();
        let by_path = sources.iter().map(|source| (source.file.as_path(), source)).collect();
        let modules = Modules::read(Path::new("src/lib.rs"), &by_path);
        let found = in_crate(&modules);
        found.into_iter().map(|breach| (breach.file.display().to_string(), breach.line)).collect()
    }

    fn both(at: [(&str, usize); 2]) -> Vec<(String, usize)> {
        at.map(|(file, line)| (file.to_owned(), line)).to_vec()
    }

    #[test]
    fn modules_that_use_each_other_are_named_at_both_ends() {
        let root = ("src/lib.rs", "mod a;\nmod b;\npub use b::B;");
        let a = ("src/a.rs", "//! A.\nuse crate::B;\npub struct A;");
        assert_eq!(
            breaches(&[root, a, ("src/b.rs", "fn f() { crate::a::A; }")]),
            both([("src/a.rs", 2), ("src/b.rs", 1)])
        );
        assert_eq!(breaches(&[root, a, ("src/b.rs", "pub struct B;")]), []);
    }

    #[test]
    fn a_cycle_through_others_and_through_children_is_one() {
        let root = ("src/lib.rs", "mod a; mod b; mod c;");
        let found = breaches(&[
            root,
            ("src/a.rs", "mod inner;"),
            ("src/a/inner.rs", "use crate::b::B;"),
            ("src/b.rs", "use super::c::C;"),
            ("src/c.rs", "use crate::a::A;"),
        ]);
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn parents_children_and_tests_may_meet() {
        let found = breaches(&[
            ("src/lib.rs", "mod a; mod b; pub fn open() {}"),
            ("src/a.rs", "mod inner; use inner::I; use crate::open; pub struct A;"),
            ("src/a/inner.rs", "use super::A; use crate::b::B;"),
            ("src/b.rs", "#[cfg(test)]\nmod tests { use crate::a::A; }\n#[cfg(test)]\nuse crate::a::A;"),
        ]);
        assert_eq!(found, []);
    }
}
