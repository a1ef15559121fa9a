//! Takes in spans over OTLP, as a collector does, and says which hops a trace had.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    resource::v1::Resource,
    trace::v1::span::SpanKind,
};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};
use uuid::Uuid;

/// A request or an event that a process took in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hop {
    pub(crate) service: String,
    pub(crate) version: String,
    pub(crate) what: String,
}

/// The hops of each trace, by its id in hex.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collector(Arc<Mutex<HashMap<String, BTreeSet<Hop>>>>);

impl Collector {
    /// Listens on a free port, for as long as the test runs; returns the address too.
    pub(crate) async fn start() -> Result<(Self, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let collector = Self::default();
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        TaskTracker::new().spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Ok((collector, address))
    }

    /// What is known of a trace so far.
    pub(crate) fn hops(&self, trace: &str) -> BTreeSet<Hop> {
        self.0.lock().unwrap().get(trace).cloned().unwrap_or_default()
    }
}

fn attribute(resource: Option<&Resource>, key: &str) -> String {
    let found = resource.and_then(|resource| resource.attributes.iter().find(|attribute| attribute.key == key));
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut traces = self.0.lock().unwrap();
        for of_process in request.into_inner().resource_spans {
            let name = |key| attribute(of_process.resource.as_ref(), key);
            let (service, version) = (name("service.name"), name("k8s.pod.label.version"));
            for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                if matches!(span.kind(), SpanKind::Server | SpanKind::Consumer) {
                    let id = Uuid::from_slice(&span.trace_id).unwrap_or_default().simple().to_string();
                    let hop = Hop { service: service.clone(), version: version.clone(), what: span.name };
                    traces.entry(id).or_default().insert(hop);
                }
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
