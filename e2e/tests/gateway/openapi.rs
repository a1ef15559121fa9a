//! The services' documents as one: what the gateway lets through, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    public::{SERVICES, takers},
    routes::{file, list},
};

fn document(service: &str) -> Value {
    serde_json::from_str(&file(&format!("docs/openapi/{service}.json"))).unwrap()
}

/// The paths that the gateway takes.
fn public(document: &Value) -> Map<String, Value> {
    let paths = document["paths"].as_object().unwrap().clone();
    paths.into_iter().filter(|(path, _)| !takers(&path.replace(['{', '}'], "")).is_empty()).collect()
}

/// What a value refers to, and what that refers to.
fn referred(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| referred(document, item, found)),
        Value::Object(members) => {
            members.values().for_each(|member| referred(document, member, found));
            let target = members.get("$ref").and_then(Value::as_str);
            if let Some(target) = target.filter(|target| found.insert((*target).to_owned())) {
                referred(document, document.pointer(&target[1..]).unwrap(), found);
            }
        }
        _ => {}
    }
}

/// Adds a component; where another document has it too, both say the same.
fn add(whole: &mut Value, part: &Value, target: &str) {
    let [kind, name] = target.trim_start_matches("#/components/").split('/').collect::<Vec<_>>()[..] else {
        panic!("{target}");
    };
    let component = &part["components"][kind][name];
    let there = &mut whole["components"][kind][name];
    assert!(there.is_null() || there == component, "{target} is two things");
    *there = component.clone();
}

fn operations(paths: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    paths.values().flat_map(|item| item.as_object().unwrap().values())
}

fn merge(whole: &mut Value, part: &Value) {
    let paths = public(part);
    let mut found = BTreeSet::new();
    paths.values().for_each(|item| referred(part, item, &mut found));
    for target in &found {
        add(whole, part, target);
    }
    for operation in operations(&paths) {
        let schemes = list(&operation["security"]).iter().flat_map(|one| one.as_object().unwrap().keys());
        schemes.for_each(|scheme| add(whole, part, &format!("#/components/securitySchemes/{scheme}")));
    }
    let tagged: BTreeSet<_> =
        operations(&paths).flat_map(|operation| list(&operation["tags"])).map(Value::to_string).collect();
    let tags = list(&part["tags"]).iter().filter(|tag| tagged.contains(&tag["name"].to_string())).cloned();
    whole["tags"].as_array_mut().unwrap().extend(tags);
    whole["paths"].as_object_mut().unwrap().extend(paths);
}

const GRAPHQL: &str = "The same over GraphQL is at `/graphql`, which its own schema describes \
    (docs/graphql/schema.graphql) and this document does not.";

#[test]
fn the_three_are_one() {
    let mut whole = json!({ "paths": {}, "tags": [], "components": {} });
    for service in SERVICES {
        let part = document(service);
        whole["openapi"] = part["openapi"].clone();
        whole["info"] = part["info"].clone();
        merge(&mut whole, &part);
    }
    whole["servers"] = json!([{ "url": "/", "description": "The gateway through which this document is read." }]);
    whole["info"]["title"] = "Trireme".into();
    let about = whole["info"]["description"].as_str().unwrap().split_once("\n\n").unwrap().1;
    whole["info"]["description"] =
        format!("Accounts, products, orders and payments, as the gateway lets them through.\n\n{GRAPHQL}\n\n{about}")
            .into();
    assert!(whole["paths"].as_object().unwrap().keys().all(|path| !path.starts_with("/internal")));
    testkit::committed("docs/openapi/shop.json", &format!("{whole:#}\n"));
}
