//! Texts of requests: [`crate::json::text`] refuses control characters in all of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::walk::{find, operations, reference};

/// No control characters (category Cc).
const PLAIN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// Says so of each text in a body of a request, unless its description has a rule of its own.
pub(super) fn describe(document: &mut Value) {
    let bodies: Vec<_> = operations(document).filter_map(|operation| operation.get("requestBody").cloned()).collect();
    let mut taken = BTreeSet::new();
    for body in &bodies {
        find(document, body, &mut taken);
    }
    let schemas = document["components"]["schemas"].as_object_mut();
    let schemas = schemas.into_iter().flatten().filter(|(name, _)| taken.contains(&reference("schemas", name)));
    let members = schemas.filter_map(|(_, schema)| schema.get_mut("properties")?.as_object_mut());
    for member in members.flat_map(Map::values_mut) {
        let ruled = ["pattern", "format", "enum"].iter().any(|rule| member.get(rule).is_some());
        if member["type"] == "string" && !ruled {
            member["pattern"] = PLAIN.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_of_requests_have_no_control_characters_and_those_of_answers_are_left_alone() {
        let refer = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let mut document = json!({
            "paths": { "/": { "post": { "requestBody": refer("Order"), "responses": refer("Answer") } } },
            "components": { "schemas": {
                "Order": { "properties": { "line": refer("Line") } },
                "Line": { "properties": {
                    "note": { "type": "string" }, "id": { "type": "string", "format": "uuid" }, "count": { "type": "integer" },
                } },
                "Answer": { "properties": { "note": { "type": "string" } } },
            } },
        });
        describe(&mut document);
        let pattern = |pointer: &str| document.pointer(pointer).and_then(|member| member.get("pattern")).cloned();
        assert_eq!(pattern("/components/schemas/Line/properties/note"), Some(PLAIN.into()));
        for other in ["Line/properties/id", "Line/properties/count", "Answer/properties/note"] {
            assert_eq!(pattern(&format!("/components/schemas/{other}")), None, "{other}");
        }
    }
}
