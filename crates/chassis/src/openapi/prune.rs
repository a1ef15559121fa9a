//! Components that nothing refers to are left out: a reader finds only what counts.

use std::collections::BTreeSet;

use serde_json::Value;

/// Leaves out the components that no operation leads to.
pub(super) fn prune(document: &mut Value) {
    let mut used = BTreeSet::new();
    find(document, &document["paths"], &mut used);
    let components = document["components"].as_object_mut();
    for (kind, named) in components.into_iter().flatten() {
        if let Some(named) = named.as_object_mut() {
            named.retain(|name, _| used.contains(&reference(kind, name)));
        }
    }
}

/// How a component is referred to.
pub(super) fn reference(kind: &str, name: &str) -> String {
    format!("#/components/{kind}/{name}")
}

/// Finds what a value refers to, what that refers to, and the security schemes that it names.
pub(super) fn find(document: &Value, value: &Value, used: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find(document, item, used)),
        Value::Object(members) => {
            members.values().for_each(|member| find(document, member, used));
            let requirements = members.get("security").and_then(Value::as_array).into_iter().flatten();
            let schemes = requirements.filter_map(Value::as_object).flat_map(|one| one.keys());
            used.extend(schemes.map(|scheme| reference("securitySchemes", scheme)));
            let target = members.get("$ref").and_then(Value::as_str);
            if let Some(target) = target.filter(|target| used.insert((*target).to_owned()))
                && let Some(component) = document.pointer(target.trim_start_matches('#'))
            {
                find(document, component, used);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_reached_stays_and_nothing_else() {
        let mut document = json!({
            "paths": { "/": { "get": { "security": [{ "bearer": [] }], "answer": { "$ref": "#/components/schemas/A" } } } },
            "components": {
                "schemas": {
                    "A": { "b": { "$ref": "#/components/schemas/B" } }, "B": { "a": { "$ref": "#/components/schemas/A" } },
                    "C": { "d": { "$ref": "#/components/schemas/D" } }, "D": {},
                },
                "securitySchemes": { "bearer": {}, "signature": {} },
            },
        });
        prune(&mut document);
        let left = |kind: &str| document["components"][kind].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(left("schemas"), ["A", "B"]);
        assert_eq!(left("securitySchemes"), ["bearer"]);
    }
}
