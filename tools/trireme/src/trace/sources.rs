//! Where spans are: in Jaeger, or with the services themselves.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::otlp::{Kind, Span};
use crate::{
    http::Http,
    state::{JAEGER, State},
};

/// The attribute of every span that knows its order.
const ORDER: &str = "order.id";
/// How far back Jaeger looks.
const LOOKBACK: Duration = Duration::from_hours(24 * 7);
/// Traces of one order that are looked at.
const MAX_TRACES: usize = 20;

/// Who is asked for spans.
#[derive(Debug)]
pub(crate) enum Source {
    /// Jaeger's query service, by its base URL.
    Jaeger(String),
    /// The recent spans of the services, by their names and the base URLs of their admin ports.
    Services(Vec<(String, String)>),
}

impl Source {
    /// Of what a supervisor runs: Jaeger, if it is there, and then the services, which know what Jaeger is about to be told.
    pub(crate) fn of(state: &State) -> Vec<Self> {
        let jaeger = state.observer_port(JAEGER).map(|port| Self::Jaeger(format!("http://127.0.0.1:{port}")));
        let admin = |service: &crate::ServiceState| (service.name.to_string(), service.addresses.admin.clone());
        jaeger.into_iter().chain([Self::Services(state.services.iter().map(admin).collect())]).collect()
    }

    /// The traces that changed an order, the oldest first, each with its spans.
    ///
    /// # Errors
    ///
    /// Nobody answers, or keeps spans.
    pub(crate) async fn of_order(&self, http: &Http, order: &str) -> Result<Vec<(String, Vec<Span>)>> {
        let mut found = Vec::new();
        for trace in self.traces(http, order).await? {
            let spans = self.of_trace(http, &trace).await?;
            if !is_a_read(&spans, &trace) {
                found.push((trace, spans));
            }
        }
        let start = |spans: &[Span]| spans.iter().map(|span| span.start).min();
        found.sort_by_key(|(_, spans)| start(spans));
        Ok(found)
    }

    /// The spans of a trace, and of others that are linked to it where somebody knows.
    ///
    /// # Errors
    ///
    /// Nobody answers, or keeps spans.
    pub(crate) async fn of_trace(&self, http: &Http, trace: &str) -> Result<Vec<Span>> {
        match self {
            Self::Jaeger(url) => {
                jaeger(http, &format!("{}/api/v3/traces/{trace}", base(url))).await.map(|a| Span::read(&a))
            }
            Self::Services(services) => recent(http, services, &format!("/debug/traces/{trace}")).await,
        }
    }

    async fn traces(&self, http: &Http, order: &str) -> Result<Vec<String>> {
        let mut traces: Vec<String> = match self {
            Self::Jaeger(url) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
                let (start, end) = (now.saturating_sub(LOOKBACK).as_micros(), now.as_micros());
                let tags = json!({ORDER: order}).to_string();
                let tags = utf8_percent_encode(&tags, NON_ALPHANUMERIC);
                let query = format!("service=order&tags={tags}&start={start}&end={end}&limit={MAX_TRACES}");
                let answer = jaeger(http, &format!("{}/api/traces?{query}", base(url))).await?;
                let found = answer["data"].as_array().into_iter().flatten();
                found.filter_map(|trace| Some(format!("{:0>32}", trace["traceID"].as_str()?))).collect()
            }
            Self::Services(services) => {
                let spans = recent(http, services, &format!("/debug/traces?{ORDER}={order}")).await?;
                let first: BTreeMap<_, _> = spans.into_iter().rev().map(|span| (span.trace, span.start)).collect();
                let mut first: Vec<_> = first.into_iter().collect();
                first.sort_by_key(|(_, start)| *start);
                first.into_iter().map(|(trace, _)| trace).collect()
            }
        };
        traces.truncate(MAX_TRACES);
        Ok(traces)
    }
}

fn base(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// Somebody has only looked at the order.
fn is_a_read(spans: &[Span], trace: &str) -> bool {
    let served = spans.iter().filter(|span| span.trace == trace && span.kind == Kind::Server);
    let first = served.min_by_key(|span| span.start);
    first.and_then(|span| span.attribute("http.request.method")).is_some_and(|method| matches!(method, "GET" | "HEAD"))
}

/// An answer of Jaeger; of one that knows nothing an empty one.
async fn jaeger(http: &Http, url: &str) -> Result<Value> {
    let answer = http.get(url).await.context("Jaeger does not answer: name it with --jaeger URL")?;
    ensure!(answer.status.is_success() || answer.status == 404, "Jaeger refuses {url}: {}", answer.status);
    Ok(answer.body)
}

/// What all services have, each span once.
async fn recent(http: &Http, services: &[(String, String)], target: &str) -> Result<Vec<Span>> {
    let mut found = HashMap::new();
    for (name, admin) in services {
        let answer = http.get(&format!("{admin}{target}")).await;
        let answer = answer.with_context(|| format!("{name} does not answer: look at `trireme status`"))?;
        if !answer.status.is_success() {
            bail!(
                "{name} keeps no spans: start it with TRIREME_TELEMETRY__RECENT_SPANS=4096, as `trireme up` does, or name a \
                 Jaeger with --jaeger URL"
            );
        }
        found.extend(Span::read(&answer.body).into_iter().map(|span| ((span.trace.clone(), span.id.clone()), span)));
    }
    let mut spans: Vec<_> = found.into_values().collect();
    spans.sort_by_key(|span| (span.start, span.end));
    Ok(spans)
}
