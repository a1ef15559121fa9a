//! A document's operations, and what is reached from them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The operations of a document.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    items.filter_map(Value::as_object_mut).flat_map(Map::values_mut).filter_map(Value::as_object_mut)
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
