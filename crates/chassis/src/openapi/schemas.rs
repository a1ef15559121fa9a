//! What every document has: the schemes of security, the problem document, and headers that every operation takes.

use error::Problem;
use serde_json::{Map, Value, json};

/// The media type of problem documents.
const PROBLEM: &str = "application/problem+json";

/// The security schemes, as operations name them.
pub(super) fn security() -> Value {
    json!({
        "bearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "An access token of the user service, from `POST /v1/sessions`.",
        },
        "credential": {
            "type": "apiKey", "in": "header", "name": "x-service-credential",
            "description": "What services show each other.",
        },
        "signature": {
            "type": "apiKey", "in": "header", "name": "Webhook-Signature",
            "description": "`t=<unix seconds>,v1=<hex HMAC-SHA-256 of \"<t>.<raw body>\">`.",
        },
    })
}

/// Headers that every operation takes, by the name of their component.
pub(super) fn parameters() -> Value {
    json!({
        "traceparent": {
            "name": "traceparent", "in": "header",
            "description": "The trace that the request belongs to (W3C Trace Context). What is malformed is ignored, and a \
                new trace begins.",
            "schema": { "type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}" },
            "example": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        },
        "x-canary": {
            "name": "x-canary", "in": "header",
            "description": "Asks for version 2 of the services, all the way to what the request causes. Any other value means \
                no.",
            "schema": { "type": "string", "pattern": "^true$" },
        },
    })
}

/// Headers of answers, by the name of their component.
pub(super) fn headers() -> Value {
    json!({
        "Deprecation": {
            "description": "Since when it is deprecated, in seconds since 1970 (RFC 9745).",
            "schema": { "type": "string", "pattern": "^@[0-9]+$" },
        },
        "ETag": {
            "description": "The version, in quotes.", "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" },
        },
        "RateLimit": {
            "description": "What is left: nothing for `t` seconds (draft-ietf-httpapi-ratelimit-headers-10). \
                Only where attempts are counted.",
            "schema": { "type": "string", "pattern": "^\"attempts\";r=0;t=[0-9]+$" },
        },
        "Retry-After": {
            "description": "Seconds until it may do better.", "schema": { "type": "integer", "minimum": 1 },
        },
        "Sunset": {
            "description": "When it ends, as an HTTP date (RFC 8594).", "schema": { "type": "string" },
        },
        "WWW-Authenticate": { "description": "What is wanted.", "schema": { "type": "string", "pattern": "^Bearer$" } },
    })
}

/// The problem document (RFC 9457).
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A refusal, as RFC 9457 has it.",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "pattern": "^/problems/[a-z-]+$",
                "description": "What it is, and where that is explained; each answer lists those that it may be." },
            "title": { "type": "string", "description": "The same for all of a type." },
            "status": { "type": "integer", "format": "int32", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What it is this time, for people." },
            "instance": { "type": "string", "pattern": "^urn:trace:[0-9a-f]{32}$",
                "description": "The trace id of the request." },
            "errors": { "type": "array", "description": "What of the request is at fault.", "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": { "type": "string", "description": "A field of the body (RFC 6901)." },
                    "parameter": { "type": "string", "description": "A parameter of the query." },
                    "header": { "type": "string", "description": "A header." },
                    "detail": { "type": "string" },
                },
            } },
        },
    })
}

/// An example of each problem, by its name.
pub(super) fn examples(problems: impl Iterator<Item = Problem>) -> Value {
    let example = |problem: Problem| {
        let value = json!({
            "type": problem.uri(), "title": problem.title(), "status": problem.kind().http().as_u16(),
            "detail": problem.meaning(), "instance": "urn:trace:4bf92f3577b34da6a3ce929d0e0e4736",
        });
        (problem.name().to_owned(), json!({ "summary": problem.title(), "value": value }))
    };
    Value::Object(problems.map(example).collect::<Map<_, _>>())
}

/// The answer of a status with the problems that it may stand for.
pub(super) fn answer(status: u16, problems: &[Problem]) -> Value {
    let named = |problem: &Problem| format!("[{}]({}): {}.", problem.name(), problem.uri(), problem.title());
    let description: Vec<_> = problems.iter().map(named).collect();
    let types: Vec<_> = problems.iter().map(|problem| problem.uri()).collect();
    let example = |problem: &Problem| {
        (problem.name().to_owned(), json!({ "$ref": format!("#/components/examples/{}", problem.name()) }))
    };
    let mut answer = json!({
        "description": description.join("\n\n"),
        "content": { PROBLEM: {
            "schema": { "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "type": "object", "properties": { "type": { "type": "string", "enum": types } } },
            ] },
            "examples": problems.iter().map(example).collect::<Map<_, _>>(),
        } },
    });
    match status {
        401 => add_header(&mut answer, "WWW-Authenticate"),
        429 | 503 | 504 => add_header(&mut answer, "Retry-After"),
        _ => {}
    }
    if status == 429 {
        add_header(&mut answer, "RateLimit");
    }
    answer
}

/// Adds what each answer of a deprecated operation carries.
pub(super) fn deprecate(answer: &mut Value) {
    add_header(answer, "Deprecation");
    add_header(answer, "Sunset");
}

/// Adds a header of the components to an answer.
pub(super) fn add_header(answer: &mut Value, name: &str) {
    answer["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
}
