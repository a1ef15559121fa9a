//! Spans out of OTLP's JSON, as a service's admin port and Jaeger's API (v3) give it.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is known of a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Of which process.
    pub service: String,
    /// The trace's id.
    pub trace: String,
    /// Its own, within the trace.
    pub id: String,
    /// Empty where it has none.
    pub parent: String,
    /// What is done.
    pub name: String,
    /// On which side.
    pub kind: Kind,
    /// In nanoseconds since 1970, as its end.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// By name.
    pub attributes: BTreeMap<String, String>,
    /// The ids of the traces and spans that it is linked to.
    pub links: Vec<(String, String)>,
    /// Why it failed, where it did.
    pub failure: Option<String>,
}

/// On which side of a call or of the bus a span is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Work within a process.
    #[default]
    Internal,
    /// A request that is answered.
    Server,
    /// A call that is made.
    Client,
    /// A message that is sent.
    Producer,
    /// A message that is handled.
    Consumer,
}

impl Span {
    /// Every span of a message; what is no span is left out.
    pub fn read(message: &Value) -> Vec<Self> {
        // Jaeger wraps it.
        let message = message.get("result").unwrap_or(message);
        let of_processes = list(&message["resourceSpans"]);
        of_processes.flat_map(Self::of_process).collect()
    }

    fn of_process(process: &Value) -> impl Iterator<Item = Self> {
        let service = attributes(&process["resource"]).remove("service.name").unwrap_or_default();
        let spans = list(&process["scopeSpans"]).flat_map(|scope| list(&scope["spans"]));
        spans.filter_map(move |span| Self::of(&service, span))
    }

    fn of(service: &str, span: &Value) -> Option<Self> {
        let attributes = attributes(span);
        let link = |link: &Value| (text(&link["traceId"]), text(&link["spanId"]));
        Some(Self {
            service: service.to_owned(),
            trace: span["traceId"].as_str()?.to_owned(),
            id: span["spanId"].as_str()?.to_owned(),
            parent: text(&span["parentSpanId"]),
            name: text(&span["name"]),
            kind: kind(&span["kind"]),
            start: text(&span["startTimeUnixNano"]).parse().ok()?,
            end: text(&span["endTimeUnixNano"]).parse().ok()?,
            links: list(&span["links"]).map(link).collect(),
            failure: failure(&span["status"], &attributes),
            attributes,
        })
    }

    /// One of its attributes.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text, or a number as one.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let pair = |attribute: &Value| {
        let value = attribute["value"].as_object()?.values().next()?;
        Some((attribute["key"].as_str()?.to_owned(), text(value)))
    };
    list(&of["attributes"]).filter_map(pair).collect()
}

/// The specification has numbers; some write the names of protobuf.
fn kind(value: &Value) -> Kind {
    match text(value).trim_start_matches("SPAN_KIND_") {
        "2" | "SERVER" => Kind::Server,
        "3" | "CLIENT" => Kind::Client,
        "4" | "PRODUCER" => Kind::Producer,
        "5" | "CONSUMER" => Kind::Consumer,
        _ => Kind::Internal,
    }
}

fn failure(status: &Value, attributes: &BTreeMap<String, String>) -> Option<String> {
    let failed = matches!(text(&status["code"]).as_str(), "2" | "STATUS_CODE_ERROR");
    let told = attributes.get("error.type");
    let keys = ["error.type", "rpc.response.status_code", "http.response.status_code"];
    let cause = keys.iter().find_map(|key| attributes.get(*key)).cloned();
    let message = Some(text(&status["message"])).filter(|message| !message.is_empty());
    (failed || told.is_some()).then(|| message.or(cause).unwrap_or_else(|| "failed".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_ways_to_write_a_span_are_read() {
        let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
        let span = json!({
            "traceId": "t", "spanId": "s", "name": "POST /v1/orders", "kind": 2,
            "startTimeUnixNano": "5", "endTimeUnixNano": "9", "status": {"code": 2},
            "attributes": [attribute("http.response.status_code", json!({"intValue": "503"}))],
            "links": [{"traceId": "a", "spanId": "b"}],
        });
        let mut other = span.clone();
        (other["kind"], other["status"]) = (json!("SPAN_KIND_SERVER"), json!({"code": "STATUS_CODE_ERROR"}));
        let resource = json!({"attributes": [attribute("service.name", json!({"stringValue": "order"}))]});
        let message =
            |span: Value| json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]});
        let expected = Span {
            service: "order".into(),
            trace: "t".into(),
            id: "s".into(),
            name: "POST /v1/orders".into(),
            kind: Kind::Server,
            start: 5,
            end: 9,
            attributes: [("http.response.status_code".into(), "503".into())].into(),
            links: vec![("a".into(), "b".into())],
            failure: Some("503".into()),
            ..Span::default()
        };
        assert_eq!(Span::read(&message(span)), std::slice::from_ref(&expected));
        assert_eq!(Span::read(&json!({"result": message(other)})), [expected]);
    }

    #[test]
    fn what_is_no_span_is_left_out() {
        for message in [json!(null), json!([]), json!({"resourceSpans": [{"scopeSpans": [{"spans": [{}, 5]}]}]})] {
            assert_eq!(Span::read(&message), []);
        }
    }
}
