//! Where problem types lead: a page for each says what it means and what to do, for people and as JSON.

use axum::{
    Json, Router,
    extract::Path,
    response::{IntoResponse as _, Response},
    routing::get,
};
use error::{Error, Problem};
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, VARY},
};
use serde_json::{Value, json};

use crate::page::{page, prose, sentence, text};

/// The pages, which every service has: behind a gateway each of them may be asked for all.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/problems", get(list)).route("/problems/{name}", get(one))
}

async fn one(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    let problem = Problem::named(&name).ok_or_else(|| Error::new(Problem::NotFound, "there is no such problem"))?;
    Ok(negotiated(&headers, || described(problem), || page(problem.title(), &article(problem))))
}

async fn list(headers: HeaderMap) -> Response {
    negotiated(&headers, || Problem::ALL.iter().copied().map(described).collect(), || page("Problems", &table()))
}

/// JSON for whoever asks for it and for no page (RFC 9110, section 12.5.1, without weights).
fn negotiated(headers: &HeaderMap, json: impl FnOnce() -> Value, html: impl FnOnce() -> Response) -> Response {
    let asked = |media: &str| {
        let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.to_ascii_lowercase().contains(media))
    };
    let mut response = if asked("json") && !asked("text/html") { Json(json()).into_response() } else { html() };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

fn described(problem: Problem) -> Value {
    json!({
        "type": problem.uri(),
        "code": problem.code(),
        "title": problem.title(),
        "status": problem.kind().http().as_u16(),
        "meaning": sentence(problem.meaning()),
        "remedy": problem.remedy(),
    })
}

fn article(problem: Problem) -> String {
    let kind = problem.kind();
    format!(
        "<p><a href=\"/problems\">Problems</a></p><h1>{title}</h1>\
         <p class=\"soft\"><code>{uri}</code> · HTTP {status} · gRPC <code>{grpc}</code> with reason <code>{code}</code></p>\
         <h2>What it means</h2><p>{meaning}</p><h2>What to do</h2><p>{remedy}</p>",
        title = prose(problem.title()),
        uri = problem.uri(),
        status = text(&kind.http().to_string()),
        grpc = kind.grpc_name(),
        code = problem.code(),
        meaning = prose(&sentence(problem.meaning())),
        remedy = prose(problem.remedy()),
    )
}

fn table() -> String {
    let row = |problem: &Problem| {
        format!(
            "<tr><td>{status}</td><td><a href=\"{uri}\">{name}</a></td><td>{title}</td></tr>",
            status = problem.kind().http().as_u16(),
            uri = problem.uri(),
            name = problem.name(),
            title = prose(problem.title()),
        )
    };
    let rows: String = Problem::ALL.iter().map(row).collect();
    format!(
        "<h1>Problems</h1><p>The <code>type</code> of a problem document (RFC 9457) leads to one of these. \
         The same name is the <code>reason</code> of <code>google.rpc.ErrorInfo</code> in gRPC, and \
         <code>extensions.code</code> in GraphQL.</p>\
         <table><tr><th>Status</th><th>Name</th><th>What it is</th></tr>{rows}</table>"
    )
}
