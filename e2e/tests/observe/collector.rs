//! What the collector makes of spans: all are counted, some are kept, nothing personal gets through.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use e2e::observe::{Collector, TIMEOUT, fetch};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use tokio::time::{Instant, sleep};

use crate::installed;

/// Traces without anything special; of so many, 5 of a hundred are almost never more than this.
const PLAIN: u32 = 400;
const FEW: usize = 60;

const SECRETS: [&str; 5] = [
    "ada@example.org",
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    "$argon2id$v=19$m=19456$c2FsdA",
    "tok_visa_4242",
    "4242 4242 4242 4242",
];

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A trace of one span, which ended just now.
fn span(number: u32, name: &str, took: Duration, attributes: Vec<KeyValue>) -> Span {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    // Which of the plain ones are kept follows from the id.
    let id = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1;
    Span {
        trace_id: id.to_be_bytes().to_vec(),
        span_id: u64::from(number + 1).to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: nanos(end.checked_sub(took).unwrap()),
        end_time_unix_nano: nanos(end),
        attributes,
        ..Span::default()
    }
}

fn spans() -> Vec<Span> {
    let fast = Duration::from_millis(5);
    let mut spans: Vec<_> = (0..PLAIN).map(|n| span(n, "plain", fast, Vec::new())).collect();
    let failed = Some(Status { code: StatusCode::Error.into(), ..Status::default() });
    spans.push(Span { status: failed, ..span(PLAIN, "failed", fast, Vec::new()) });
    spans.push(span(PLAIN + 1, "slow", Duration::from_millis(310), Vec::new()));
    let secrets = SECRETS.iter().map(|secret| attribute("note", Value::StringValue(format!("of {secret}."))));
    let named = attribute("user.email", Value::StringValue("hidden by its name".to_owned()));
    let canary = attribute("canary", Value::BoolValue(true));
    for (n, attribute) in (PLAIN + 2..).zip(secrets.chain([named])) {
        spans.push(span(n, "marked", fast, vec![canary.clone(), attribute]));
    }
    spans
}

async fn send(collector: &Collector, spans: Vec<Span>) -> Result<()> {
    let resource = Resource {
        attributes: vec![attribute("service.name", Value::StringValue("order".to_owned()))],
        ..Resource::default()
    };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let of_process = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![of_process] };
    TraceServiceClient::connect(collector.otlp.clone()).await?.export(request).await?;
    Ok(())
}

/// What Prometheus reads where it can read exemplars.
async fn span_metrics(collector: &Collector) -> Result<String> {
    let address = format!("127.0.0.1:{}", collector.metrics[1]);
    fetch(&address, "/metrics", "accept: application/openmetrics-text;version=1.0.0\r\n").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_spans_are_counted_and_what_matters_is_kept_without_anything_personal() -> Result<()> {
    if !installed(&["otelcol"]) {
        return Ok(());
    }
    let collector = Collector::start().await?;
    send(&collector, spans()).await?;
    let deadline = Instant::now() + TIMEOUT;
    // A bucket has the trace of the latest spans in it.
    let mut metrics = span_metrics(&collector).await?;
    while !metrics.contains("# {") {
        ensure!(Instant::now() < deadline, "no exemplar: {metrics}");
        sleep(Duration::from_millis(100)).await;
        metrics = span_metrics(&collector).await?;
    }
    let of_all = format!("span_name=\"plain\",status_code=\"STATUS_CODE_UNSET\"}} {PLAIN}");
    assert!(metrics.contains(&of_all), "no count of {PLAIN}: {metrics}");
    let example = metrics.lines().find_map(|line| line.split_once("# {")).unwrap().1;
    assert!(example.contains("trace_id=\""), "{example}");

    let marked = SECRETS.len() + 1;
    let named = |name: &str| collector.kept().matches(&format!("\"name\":\"{name}\"")).count();
    while (named("failed"), named("slow"), named("marked")) != (1, 1, marked) {
        ensure!(Instant::now() < deadline, "kept: {}", collector.kept());
        sleep(Duration::from_millis(100)).await;
    }
    assert!((1..=FEW).contains(&named("plain")), "{} of {PLAIN}", named("plain"));
    for secret in SECRETS.iter().chain(&["hidden by its name"]) {
        assert!(!collector.kept().contains(secret), "{secret} got through");
    }
    Ok(())
}
