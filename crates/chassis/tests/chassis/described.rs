//! The description of the interface: what it adds to what handlers say, and what deprecation adds to answers.

use axum::http::StatusCode;
use chassis::openapi::{self, About, Deprecation};
use error::{Error, Problem};
use serde_json::Value;
use time::macros::date;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::support::{Server, request};

const ABOUT: About = About { title: "Test", description: "A test.", tags: &[("things", "Things.")] };

/// What is there now
#[utoipa::path(get, path = "/v2/things", operation_id = "listThings", tag = "things",
    responses((status = 200, description = "All."), (status = 304, description = "None new.")))]
async fn current() {}

/// What was there before
#[utoipa::path(get, path = "/v1/things", operation_id = "oldThings", tag = "things",
    security(("bearer" = [])), responses((status = 200, description = "All.")))]
async fn former() -> Result<StatusCode, Error> {
    Err(Error::new(Problem::TokenMissing, "a bearer token is needed"))
}

async fn server() -> Server {
    let gone = Deprecation {
        since: date!(2026 - 11 - 01),
        sunset: date!(2027 - 05 - 02),
        instead: "`listThings` is what is there now.",
    };
    let routes = OpenApiRouter::new().routes(routes!(current)).routes(openapi::deprecated(routes!(former), gone));
    Server::of(openapi::serve(ABOUT, routes)).await
}

async fn document(server: &Server) -> Value {
    request(server.http, "GET /openapi.json", "").await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_away_says_so() {
    let server = server().await;
    let refused = request(server.http, "GET /v1/things", "").await;
    assert_eq!(refused.problem()["type"], "/problems/token-missing");
    // `date -d 2026-11-01T00:00Z +%s`
    assert_eq!(refused.header("deprecation"), Some("@1793491200"));
    assert_eq!(refused.header("sunset"), Some("Sun, 02 May 2027 00:00:00 GMT"));
    assert_eq!(refused.header("link"), Some("</docs>; rel=\"deprecation\"; type=\"text/html\""));
    let stays = request(server.http, "GET /v2/things", "").await;
    assert_eq!((stays.status, stays.header("deprecation"), stays.header("sunset")), (200, None, None));

    let document = document(&server).await;
    let (former, current) = (&document["paths"]["/v1/things"]["get"], &document["paths"]["/v2/things"]["get"]);
    assert_eq!((&former["deprecated"], &current["deprecated"]), (&Value::Bool(true), &Value::Null));
    assert!(former["description"].as_str().unwrap().contains("gone on 2027-05-02. `listThings`"), "{former}");
    for (status, answer) in former["responses"].as_object().unwrap() {
        assert_eq!(answer["headers"]["Sunset"]["$ref"], "#/components/headers/Sunset", "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_all_operations_have_is_added() {
    let document = document(&server().await).await;
    let operation = &document["paths"]["/v2/things"]["get"];
    assert_eq!(operation["security"], Value::Array(Vec::new()));
    let parameters: Vec<_> = operation["parameters"].as_array().unwrap().iter().map(|one| &one["$ref"]).collect();
    assert_eq!(parameters, ["#/components/parameters/traceparent", "#/components/parameters/x-canary"]);
    let types = |status: &str| {
        let content = &operation["responses"][status]["content"]["application/problem+json"];
        content["schema"]["allOf"][1]["properties"]["type"]["enum"].clone()
    };
    assert_eq!(types("503"), serde_json::json!(["/problems/overloaded", "/problems/unavailable"]));
    assert_eq!(operation["responses"]["401"], Value::Null);
    let former = &document["paths"]["/v1/things"]["get"]["responses"]["401"];
    assert_eq!(former["headers"]["WWW-Authenticate"]["$ref"], "#/components/headers/WWW-Authenticate");
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["bearer"], "nothing that nobody needs");
}
