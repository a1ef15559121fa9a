//! From what handlers say to the whole document.

use std::collections::BTreeMap;

use error::Problem;
use serde_json::{Map, Value, json};

use super::{About, links, prune, schemas, texts, walk::operations};

/// Where an operation lists the problems that only it has.
const OWN: &str = "x-problems";

/// What any operation may meet.
const ALWAYS: [Problem; 4] = [Problem::Internal, Problem::Overloaded, Problem::Unavailable, Problem::DeadlineExceeded];

/// What holds for all operations and fits into no schema.
const CONVENTIONS: &str = "\
    Refusals are problem documents (RFC 9457): `type` is stable and leads to a page that says what to do, and `errors` \
    names what of the request is at fault.\n\n\
    Money is integer minor units and a currency of ISO 4217. An integer is digits, with a minus sign where it may be \
    negative: `1.0` and `1e2` are refused. Members that are not known, given twice or null are refused, too.\n\n\
    Lists are paged by an opaque cursor and are stable under inserts.";

/// Headers that any operation takes.
const EVERYWHERE: [&str; 2] = ["traceparent", "x-canary"];

/// Completes what utoipa gathered.
pub(super) fn document(about: About, described: Value) -> Value {
    let mut document = described;
    document["info"] = json!({
        "title": about.title, "version": "1", "description": format!("{}\n\n{CONVENTIONS}", about.description),
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/", "description": "Where this document is." }]);
    document["tags"] = about.tags.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect();
    let examples = take_examples(&mut document);
    for operation in operations(&mut document) {
        complete(operation, &examples);
    }
    links::link(&mut document);
    texts::describe(&mut document);
    let components = &mut document["components"];
    components["schemas"]["Problem"] = schemas::problem();
    components["securitySchemes"] = schemas::security();
    components["parameters"] = schemas::parameters();
    components["headers"] = schemas::headers();
    components["examples"] = schemas::examples(Problem::ALL.iter().copied());
    prune::prune(&mut document);
    document
}

/// Takes the schemas' examples out: they are shown where a schema is used.
fn take_examples(document: &mut Value) -> Map<String, Value> {
    let schemas = document["components"]["schemas"].as_object_mut();
    let schemas = schemas.into_iter().flatten();
    schemas.filter_map(|(name, schema)| Some((name.clone(), schema.as_object_mut()?.remove("example")?))).collect()
}

fn complete(operation: &mut Map<String, Value>, examples: &Map<String, Value>) {
    let met = problems(operation);
    let deprecated = operation.get("deprecated") == Some(&true.into());
    operation.entry("security").or_insert_with(|| json!([]));
    if let Some(body) = operation.get_mut("requestBody") {
        body["required"] = true.into();
        show_example(body, examples);
    }
    let answers = operation.entry("responses").or_insert_with(|| json!({}));
    for answer in answers.as_object_mut().into_iter().flat_map(Map::values_mut) {
        show_example(answer, examples);
        if links::is_resource(answer) {
            schemas::add_header(answer, "ETag");
        }
    }
    for (status, problems) in by_status(&met) {
        answers[status.to_string()] = schemas::answer(status, &problems);
    }
    if deprecated {
        answers.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(schemas::deprecate);
    }
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.extend(EVERYWHERE.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })));
    }
}

/// Each problem once, in the registry's order, under its status.
fn by_status(met: &[Problem]) -> BTreeMap<u16, Vec<Problem>> {
    let mut by_status = BTreeMap::<u16, Vec<Problem>>::new();
    for problem in Problem::ALL.iter().filter(|problem| met.contains(problem)) {
        by_status.entry(problem.kind().http().as_u16()).or_default().push(*problem);
    }
    by_status
}

/// What an operation may be refused with: its own, and what follows from what it takes.
fn problems(operation: &mut Map<String, Value>) -> Vec<Problem> {
    let mut met = ALWAYS.to_vec();
    let own = operation.remove(OWN).unwrap_or_default();
    met.extend(own.as_array().into_iter().flatten().filter_map(|name| Problem::named(name.as_str()?)));
    for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        met.extend(of_parameter(parameter));
    }
    if operation.contains_key("requestBody") {
        met.extend([Problem::MalformedBody, Problem::BodyTooLarge, Problem::UnsupportedMediaType]);
        met.push(Problem::InvalidFields);
    }
    for requirement in operation.get("security").and_then(Value::as_array).into_iter().flatten() {
        met.extend(requirement.as_object().into_iter().flat_map(Map::keys).flat_map(|scheme| of_scheme(scheme)));
    }
    met
}

fn of_parameter(parameter: &Value) -> &'static [Problem] {
    let required = parameter["required"] == true;
    match (parameter["in"].as_str(), parameter["name"].as_str()) {
        (Some("path"), _) => &[Problem::NotFound],
        (Some("query"), _) => &[Problem::MalformedParameter],
        (_, Some("Idempotency-Key")) => &[Problem::MalformedHeader, Problem::IdempotencyKeyReused],
        (_, Some("If-Match")) if required => {
            &[Problem::MalformedHeader, Problem::VersionRequired, Problem::VersionMismatch]
        }
        (_, Some("If-Match")) => &[Problem::MalformedHeader, Problem::VersionMismatch],
        _ => &[Problem::MalformedHeader],
    }
}

fn of_scheme(scheme: &str) -> &'static [Problem] {
    match scheme {
        "bearer" => &[Problem::TokenMissing, Problem::TokenExpired, Problem::TokenInvalid],
        "credential" => &[Problem::CredentialInvalid, Problem::CallerNotAllowed],
        _ => &[Problem::SignatureInvalid],
    }
}

/// Gives a body or an answer the example of the schema that it refers to.
fn show_example(holder: &mut Value, examples: &Map<String, Value>) {
    let content = holder.get_mut("content").and_then(Value::as_object_mut);
    for media in content.into_iter().flat_map(Map::values_mut).filter(|media| media.get("example").is_none()) {
        let name = media["schema"]["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        if let Some(example) = name.and_then(|name| examples.get(name)) {
            media["example"] = example.clone();
        }
    }
}
