//! Links from an answer to what can be done with what is in it.

use serde_json::{Map, Value, json};

/// An operation that works on a resource by its `id`.
struct Target {
    path: String,
    id: String,
    conditional: bool,
}

/// Links each answer that is a resource to the operations on it: those whose paths go on with `/{id}`.
pub(super) fn link(document: &mut Value) {
    let targets = targets(&document["paths"]);
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        let collection = path.split("/{id}").next().unwrap_or_default();
        let links: Map<_, _> = targets.iter().filter_map(|target| target.link(collection)).collect();
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let answers = operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut);
            for answer in answers.filter(|answer| is_resource(answer) && !links.is_empty()) {
                answer["links"] = Value::Object(links.clone());
            }
        }
    }
}

/// Whether an answer is one resource, which has a version.
pub(super) fn is_resource(answer: &Value) -> bool {
    answer["content"]["application/json"]["example"].get("version").is_some()
}

fn targets(paths: &Value) -> Vec<Target> {
    let mut targets = Vec::new();
    for (path, item) in paths.as_object().into_iter().flatten().filter(|(path, _)| path.contains("/{id}")) {
        for operation in item.as_object().into_iter().flat_map(Map::values) {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let conditional = parameters.clone().any(|parameter| parameter["name"] == "If-Match");
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            targets.push(Target { path: path.clone(), id, conditional });
        }
    }
    targets
}

impl Target {
    fn link(&self, collection: &str) -> Option<(String, Value)> {
        let (before, _) = self.path.split_once("/{id}")?;
        let mut parameters = json!({ "id": "$response.body#/id" });
        if self.conditional {
            parameters["If-Match"] = "$response.header.ETag".into();
        }
        let link = json!({ "operationId": self.id, "parameters": parameters });
        (before == collection).then(|| (self.id.clone(), link))
    }
}
