//! The gateways' own errors are problems that the services have, too.

use crate::routes::file;

const LUA: &str = "deploy/gateway/lua/trireme.lua";

/// Names and titles in docs/problems.md, which is written from the registry.
fn registry() -> Vec<(String, String)> {
    let document = file("docs/problems.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| [")).map(|row| {
        let title = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        (row.split(']').next().unwrap().to_owned(), title.to_owned())
    });
    rows.collect()
}

#[test]
fn what_a_gateway_names_is_in_the_registry() {
    let (known, lua) = (registry(), file(LUA));
    let titles = lua.lines().filter_map(|line| line.trim().strip_prefix("[\"")?.strip_suffix("\","));
    let titles: Vec<_> = titles.map(|line| line.split_once("\"] = \"").unwrap()).collect();
    assert!(titles.len() > 5, "{titles:?}");
    for (name, title) in &titles {
        assert!(known.contains(&((*name).to_owned(), (*title).to_owned())), "{name}: {title}");
    }
    let quoted: Vec<_> = lua.split('"').skip(1).step_by(2).collect();
    for (name, _) in known {
        let has_title = titles.iter().any(|(titled, _)| *titled == name);
        assert_eq!(quoted.contains(&&*name), has_title, "{name} is used without a title");
    }
    assert!(file("deploy/gateway/kong/kong.yml").contains("/problems/route-not-found"));
}
