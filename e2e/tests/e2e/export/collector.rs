//! Takes in spans, metrics and log records over OTLP, by gRPC and by HTTP, and keeps what is asked of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_server},
        metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics_service_server},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_server},
    },
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{Metric, metric::Data},
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;
use tonic::{
    Request, Response, Status,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

/// What has come in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The ids of traces that have a span.
    pub(crate) traces: BTreeSet<Vec<u8>>,
    /// The ids of traces that have a log record.
    pub(crate) logged: BTreeSet<Vec<u8>>,
    pub(crate) metrics: BTreeSet<String>,
    pub(crate) spans: Vec<Span>,
    /// Who sent a span, by its id.
    services: HashMap<Vec<u8>, String>,
    pub(crate) records: Vec<LogRecord>,
    /// Every metric each time that it came.
    pub(crate) measured: Vec<Metric>,
    /// Attributes of those who sent, as `key=value`.
    pub(crate) resources: BTreeSet<String>,
    /// The values of the header `x-team`.
    pub(crate) teams: BTreeSet<String>,
}

impl Seen {
    /// The service that sent a span.
    pub(crate) fn service(&self, span: &Span) -> String {
        self.services.get(&span.span_id).cloned().unwrap_or_default()
    }

    /// How many HTTP requests of a route were measured, by the last that one process said.
    pub(crate) fn requests(&self, route: &str) -> u64 {
        let named = self.measured.iter().filter(|metric| metric.name == "http.server.request.duration");
        let is_of_route = |attribute: &KeyValue| {
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            attribute.key == "http.route" && value == Some(&Value::StringValue(route.to_owned()))
        };
        let counts = named.filter_map(|metric| {
            let Some(Data::Histogram(histogram)) = &metric.data else { return None };
            let points = histogram.data_points.iter();
            Some(points.filter(|point| point.attributes.iter().any(is_of_route)).map(|point| point.count).sum())
        });
        counts.max().unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Collector(Arc<Mutex<Seen>>);

impl Collector {
    /// Listens for gRPC on a free port, for as long as the test runs; returns the address, without a scheme.
    pub(crate) async fn grpc(identity: Option<Identity>) -> Result<(Self, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let collector = Self::default();
        let mut server = Server::builder();
        if let Some(identity) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
        }
        let server = server
            .add_service(trace_service_server::TraceServiceServer::new(collector.clone()))
            .add_service(metrics_service_server::MetricsServiceServer::new(collector.clone()))
            .add_service(logs_service_server::LogsServiceServer::new(collector.clone()));
        TaskTracker::new().spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Ok((collector, address))
    }

    /// The same for HTTP.
    pub(crate) async fn http() -> Result<(Self, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (collector, tasks) = (Self::default(), TaskTracker::new());
        let accepting = collector.clone();
        TaskTracker::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn(accepting.clone().answer(stream));
            }
        });
        Ok((collector, address))
    }

    /// Answers the requests of a connection.
    async fn answer(self, mut stream: TcpStream) -> Result<()> {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            let head = String::from_utf8(head)?.to_ascii_lowercase();
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
            let mut body = vec![0; field("content-length:").context("no length")?.parse()?];
            stream.read_exact(&mut body).await?;
            self.team(field("x-team:"));
            match head.split(' ').nth(1).context("no path")? {
                "/v1/traces" => self.traces(Message::decode(&*body)?),
                "/v1/metrics" => self.metrics(Message::decode(&*body)?),
                "/v1/logs" => self.logs(Message::decode(&*body)?),
                other => anyhow::bail!("{other} is no path of OTLP"),
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.0.lock().unwrap().clone()
    }

    fn team(&self, team: Option<&str>) {
        self.0.lock().unwrap().teams.extend(team.map(str::to_owned));
    }

    fn header<T>(&self, request: &Request<T>) {
        self.team(request.metadata().get("x-team").and_then(|team| team.to_str().ok()));
    }

    fn traces(&self, request: ExportTraceServiceRequest) {
        let mut seen = self.0.lock().unwrap();
        for of_process in request.resource_spans {
            let resource: Vec<String> = attributes(of_process.resource).collect();
            let service =
                resource.iter().find_map(|one| one.strip_prefix("service.name=")).unwrap_or_default().to_owned();
            seen.resources.extend(resource);
            for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                seen.traces.insert(span.trace_id.clone());
                seen.services.insert(span.span_id.clone(), service.clone());
                seen.spans.push(span);
            }
        }
    }

    fn metrics(&self, request: ExportMetricsServiceRequest) {
        let all = request.resource_metrics.into_iter().flat_map(|of_process| of_process.scope_metrics);
        let mut seen = self.0.lock().unwrap();
        for metric in all.flat_map(|scope| scope.metrics) {
            seen.metrics.insert(metric.name.clone());
            seen.measured.push(metric);
        }
    }

    fn logs(&self, request: ExportLogsServiceRequest) {
        let all = request.resource_logs.into_iter().flat_map(|of_process| of_process.scope_logs);
        let mut seen = self.0.lock().unwrap();
        for record in all.flat_map(|scope| scope.log_records) {
            if !record.trace_id.is_empty() {
                seen.logged.insert(record.trace_id.clone());
            }
            seen.records.push(record);
        }
    }
}

fn attributes(resource: Option<Resource>) -> impl Iterator<Item = String> {
    resource.into_iter().flat_map(|resource| resource.attributes).filter_map(|attribute| {
        let Value::StringValue(value) = attribute.value?.value? else { return None };
        Some(format!("{}={value}", attribute.key))
    })
}

#[tonic::async_trait]
impl trace_service_server::TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.header(&request);
        self.traces(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl metrics_service_server::MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl logs_service_server::LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
