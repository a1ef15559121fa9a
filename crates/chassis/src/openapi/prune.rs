//! Components that nothing refers to are left out: a reader finds only what counts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::walk::{find, reference};

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
