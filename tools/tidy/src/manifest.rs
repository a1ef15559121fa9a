//! A package's manifest, as far as the rules need it.

use std::path::PathBuf;

use toml::{Table, Value};

/// A dependency as the manifest writes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The name in the manifest, which is that in the code with `-` for `_`.
    pub(crate) name: String,
    /// Whether only tests, examples and benches see it.
    pub(crate) dev: bool,
    /// Whether a feature has to ask for it.
    pub(crate) optional: bool,
    /// Whether the version and the path come from the root manifest.
    pub(crate) inherited: bool,
    pub(crate) line: usize,
}

impl Dependency {
    /// The name as it stands in a path.
    pub(crate) fn code_name(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// A feature and what it turns on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: String,
    pub(crate) enables: Vec<String>,
    pub(crate) line: usize,
}

#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) file: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    /// The features, each with what it turns on.
    pub(crate) features: Vec<Feature>,
    /// Whether the lints come from the root manifest.
    pub(crate) inherits_lints: bool,
    /// Whether `publish` comes from the root manifest or is false.
    pub(crate) unpublished: bool,
}

impl Manifest {
    pub(crate) fn parse(file: PathBuf, text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let mut dependencies = Vec::new();
        collect(&table, text, &mut dependencies);
        for target in table.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values) {
            collect(target.as_table().unwrap_or(&Table::new()), text, &mut dependencies);
        }
        let inherits = |value: Option<&Value>| value.is_some_and(is_inherited);
        let publish = table.get("package").and_then(|package| package.get("publish"));
        Ok(Self {
            file,
            dependencies,
            features: features(&table, text),
            inherits_lints: inherits(table.get("lints")),
            unpublished: inherits(publish) || publish.and_then(Value::as_bool) == Some(false),
        })
    }

    /// The folder of the package and what is in it: `("services", "user")`, or `("e2e", "")`.
    pub(crate) fn package(&self) -> (&str, &str) {
        let mut folders = self.file.parent().into_iter().flat_map(|p| p.iter()).filter_map(|folder| folder.to_str());
        (folders.next().unwrap_or_default(), folders.next().unwrap_or_default())
    }
}

fn collect(table: &Table, text: &str, dependencies: &mut Vec<Dependency>) {
    for (section, dev) in [("dependencies", false), ("dev-dependencies", true), ("build-dependencies", false)] {
        for (name, value) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
            dependencies.push(Dependency {
                name: name.clone(),
                dev,
                optional: value.get("optional").and_then(Value::as_bool) == Some(true),
                inherited: is_inherited(value),
                line: line_of(text, section, name),
            });
        }
    }
}

fn features(table: &Table, text: &str) -> Vec<Feature> {
    let features = table.get("features").and_then(Value::as_table).into_iter().flatten();
    let enabled = |value: &Value| {
        let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    };
    features
        .map(|(name, value)| Feature {
            name: name.clone(),
            enables: enabled(value),
            line: line_of(text, "features", name),
        })
        .collect()
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// The line of `name` below the heading that ends in `section]`, or that of the heading's table.
fn line_of(text: &str, section: &str, name: &str) -> usize {
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(heading) = line.strip_prefix('[') {
            let heading = heading.trim_end_matches(']');
            let own = heading.strip_suffix(name).and_then(|heading| heading.strip_suffix('.'));
            if own.is_some_and(|heading| is_section(heading, section)) {
                return index + 1;
            }
            inside = is_section(heading, section);
        } else if inside {
            let after = line.strip_prefix(name).unwrap_or("x");
            if after.starts_with(['.', ' ', '=']) {
                return index + 1;
            }
        }
    }
    1
}

fn is_section(heading: &str, section: &str) -> bool {
    heading == section || heading.ends_with(&format!(".{section}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_found_with_their_lines() {
        let text = "[package]\npublish = false\n\n[dependencies]\nauth.workspace = true\nserde = \"1\"\n\
            testkit = { workspace = true, optional = true }\n\n[dev-dependencies.proptest]\nversion = \"1\"\n\n\
            [target.'cfg(unix)'.dependencies]\nnix.workspace = true\n";
        let manifest = Manifest::parse("crates/a/Cargo.toml".into(), text).unwrap();
        let found: Vec<_> =
            manifest.dependencies.iter().map(|d| (d.name.as_str(), d.line, d.dev, d.inherited, d.optional)).collect();
        assert_eq!(
            found,
            [
                ("auth", 5, false, true, false),
                ("serde", 6, false, false, false),
                ("testkit", 7, false, true, true),
                ("proptest", 9, true, false, false),
                ("nix", 13, false, true, false),
            ]
        );
        assert!(manifest.unpublished && !manifest.inherits_lints);
        assert_eq!(manifest.package(), ("crates", "a"));
    }
}
