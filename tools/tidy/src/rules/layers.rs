//! Inside a service dependencies point inward, and each layer names what is on its list and nothing else.

mod lists;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::Path as FilePath;

use self::lists::{LAYERS, Layer, TECHNOLOGIES};
use super::in_source;
use crate::Breach;
use crate::manifest::Manifest;
use crate::modules::Modules;
use crate::source::{Path, Source, local_names};
use crate::workspace::Workspace;

/// The first names of paths that are neither a crate nor a module.
const BUILT_IN: [&str; 26] = [
    "Self",
    "bool",
    "char",
    "clippy",
    "core",
    "diagnostic",
    "f32",
    "f64",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "isize",
    "miri",
    "rustdoc",
    "rustfmt",
    "std",
    "str",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "unsafe",
    "usize",
];

/// Checks the layers of every service.
pub(super) fn layers_keep_to_their_lists(workspace: &Workspace) -> Vec<Breach> {
    let files = workspace.sources.iter().map(|source| (source.file.as_path(), source)).collect();
    let services = workspace.manifests.iter().filter(|manifest| manifest.package().0 == "services");
    services.flat_map(|manifest| in_service(workspace, manifest, &files)).collect()
}

fn in_service(workspace: &Workspace, manifest: &Manifest, files: &HashMap<&FilePath, &Source>) -> Vec<Breach> {
    let (_, service) = manifest.package();
    let folder = FilePath::new("services").join(service).join("src");
    let modules = Modules::read(&folder.join("lib.rs"), files);
    let mut breaches = Vec::new();
    for source in workspace.sources.iter().filter(|source| source.file.starts_with(&folder)) {
        let Some(layer) = layer(source) else {
            let names = LAYERS.map(|layer| layer.name).join(", ");
            breaches.push(in_source(source, 1, "layer", format!("this is in no layer of a service: {names}")));
            continue;
        };
        breaches.extend(Names { source, manifest, modules: &modules, layer }.check());
        breaches.extend(domain_is_sync(source, layer));
        breaches.extend(time_is_passed_in(source, layer));
    }
    breaches
}

/// The layer of a service's file: `services/user/src/app/ports.rs` and `services/user/src/app.rs` are in `app`.
fn layer(source: &Source) -> Option<&'static Layer> {
    let name = *source.components().get(3)?;
    LAYERS.iter().find(|layer| layer.name == name.strip_suffix(".rs").unwrap_or(name))
}

/// The paths that one file names.
struct Names<'a> {
    source: &'a Source,
    manifest: &'a Manifest,
    modules: &'a Modules<'a>,
    layer: &'static Layer,
}

impl Names<'_> {
    fn check(&self) -> Vec<Breach> {
        let tokens = self.source.tokens();
        let paths = self.source.paths();
        let local = local_names(&tokens, &paths);
        let tests = self.source.test_spans();
        let for_tests = |at: usize| self.is_for_tests(at) || tests.iter().any(|span| span.contains(&at));
        let mut breaches = Vec::new();
        for path in &paths {
            let own = self.root_path(path);
            let found = if let Some(segments) = &own {
                self.inward(segments)
            } else {
                self.outward(path, &local, for_tests(path.at))
            };
            breaches
                .extend(found.map(|(rule, detail)| in_source(self.source, self.source.line(path.at), rule, detail)));
        }
        breaches.dedup();
        breaches
    }

    /// Whether a byte of the file is in a module that is compiled for tests only.
    fn is_for_tests(&self, at: usize) -> bool {
        self.modules.containing(self.source, at).is_some_and(|module| self.modules.is_test(module))
    }

    /// The segments from the root of the service, for a path that leads there: `crate::app`, `super::app` in
    /// `domain.rs`, `user::app` in user's binary.
    fn root_path<'p>(&self, path: &Path<'p>) -> Option<Vec<&'p str>> {
        let segments = path.segments.strip_prefix(&["self"]).unwrap_or(&path.segments);
        let (first, rest) = segments.split_first()?;
        match *first {
            "crate" => Some(rest.to_vec()),
            "super" => {
                let up = segments.iter().take_while(|segment| **segment == "super").count();
                // `super` within the layer leads nowhere else.
                (up >= self.depth(path.at)).then(|| segments[up..].to_vec())
            }
            first if self.layer.name == "main" && first == self.manifest.package().1 => Some(rest.to_vec()),
            _ => None,
        }
    }

    /// How many `super` lead from a byte of the file to the root of the service.
    fn depth(&self, at: usize) -> usize {
        self.modules.containing(self.source, at).map_or(0, Vec::len)
    }

    fn inward(&self, segments: &[&str]) -> Option<(&'static str, String)> {
        let named = segments.first().copied().unwrap_or("*");
        if self.layer.inner.contains(&named) {
            return None;
        }
        let allowed = if self.layer.inner.is_empty() { "nothing".to_owned() } else { self.layer.inner.join(", ") };
        Some((
            "layer",
            format!("`{}` may not name `crate::{named}`; of its service it may name {allowed}", self.layer.name),
        ))
    }

    fn outward(&self, path: &Path<'_>, local: &HashSet<&str>, for_tests: bool) -> Option<(&'static str, String)> {
        let first = *path.segments.first()?;
        if !is_crate(path, first, local) {
            return None;
        }
        let named = path.segments.join("::").replacen("core::", "std::", 1);
        let lists = self.layer.outer.iter().copied().chain(self.technologies());
        let allowed = lists.flatten().any(|entry| is_below(&named, entry));
        if allowed || (for_tests && self.has_for_tests(first)) {
            return None;
        }
        let (layer, instead) = (self.layer.name, self.layer.instead);
        let detail =
            format!("`{named}` is not on the list of `{layer}` in tools/tidy/src/rules/layers/lists.rs: {instead}");
        Some(("layer-technology", detail))
    }

    /// The lists of the technologies after which the file, or a folder around it, is named.
    fn technologies(&self) -> impl Iterator<Item = &'static [&'static str]> {
        let components = if self.layer.name == "adapters" { self.source.components() } else { Vec::new() };
        let stems: Vec<String> = components.into_iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
        TECHNOLOGIES.iter().filter(move |(name, _)| stems.iter().any(|stem| stem == name)).map(|(_, list)| *list)
    }

    /// Tests may use what the manifest has for them, and all of the standard library and the runtime.
    fn has_for_tests(&self, first: &str) -> bool {
        // `prop` comes with the prelude of proptest.
        let name = if first == "prop" { "proptest" } else { first };
        let mut dependencies = self.manifest.dependencies.iter().filter(|dependency| dependency.dev);
        ["std", "core", "tokio"].contains(&first) || dependencies.any(|dependency| dependency.code_name() == name)
    }
}

/// Whether a path begins with the name of a crate.
fn is_crate(path: &Path<'_>, first: &str, local: &HashSet<&str>) -> bool {
    if path.absolute || ["std", "core", "alloc"].contains(&first) {
        return true;
    }
    let word = first.starts_with(|c: char| c.is_lowercase() || c == '_');
    // `use x as y` makes `y` local, and `x` is looked at where it is imported.
    word && !local.contains(first) && !BUILT_IN.contains(&first) && !["self", "crate", "super"].contains(&first)
}

/// Whether `path` is `entry` or below it.
fn is_below(path: &str, entry: &str) -> bool {
    path.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Business rules wait for nothing.
fn domain_is_sync(source: &Source, layer: &Layer) -> Vec<Breach> {
    if layer.name != "domain" {
        return Vec::new();
    }
    let tokens = source.tokens();
    let waits = tokens.iter().filter(|token| ["async", "await"].contains(&token.text));
    waits
        .map(|token| {
            let detail = "business rules are sync: nothing in `domain` waits".to_owned();
            in_source(source, source.line(token.at), "layer-technology", detail)
        })
        .collect()
}

/// Only the clock that was passed in says what time it is.
fn time_is_passed_in(source: &Source, layer: &Layer) -> Vec<Breach> {
    if ["wiring", "cli", "main"].contains(&layer.name) {
        return Vec::new();
    }
    let calls = ["::now_utc(", "SystemTime::now(", "clock::system("];
    let found = calls.into_iter().flat_map(|call| source.code.match_indices(call));
    found
        .map(|(at, _)| {
            let detail = "take the time from the clock that is passed in; only `wiring` asks the system".to_owned();
            in_source(source, source.line(at), "time", detail)
        })
        .collect()
}
