//! What becomes of spans and log records: counted, bounded while they wait, and said when nobody takes them.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter, LogProcessor, SdkLogRecord},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use resilience::Outage;
use semconv::{attributes, metrics};

/// What has become of the items of one signal in this process.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// What they are called in an attribute and a message.
    items: &'static str,
    waiting: AtomicU64,
    exported: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    outage: Outage,
}

pub(super) static SPANS: LazyLock<Delivery> = LazyLock::new(|| Delivery::of("spans"));
pub(super) static LOGS: LazyLock<Delivery> = LazyLock::new(|| Delivery::of("log records"));
/// Metrics are sums: the next export has what one that failed had.
pub(super) static METRICS: LazyLock<Delivery> = LazyLock::new(|| Delivery::of("metrics"));

impl Delivery {
    fn of(items: &'static str) -> Self {
        Self { items, ..Self::default() }
    }

    /// Whether one more may wait; counts it where it may not. The SDK's own queue would drop it without a word.
    fn admit(&self, limit: u64) -> bool {
        let admitted = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| (waiting < limit).then_some(waiting + 1));
        if admitted.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        admitted.is_ok()
    }

    fn ended(&self, count: u64, result: &OTelSdkResult) {
        let _ = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| Some(waiting.saturating_sub(count)));
        let items = self.items;
        match result {
            Ok(()) => {
                self.exported.fetch_add(count, Ordering::Relaxed);
                if let Some(failures) = self.outage.ended() {
                    tracing::info!(failures, "{items} are delivered again");
                }
            }
            Err(error) => {
                self.failed.fetch_add(count, Ordering::Relaxed);
                if let Some(failures) = self.outage.failed() {
                    tracing::warn!(error = error as &dyn std::error::Error, failures, "{items} are not delivered");
                }
            }
        }
    }

    /// How many were lost: nobody took them, or too many waited.
    pub(super) fn lost(&self) -> u64 {
        self.failed.load(Ordering::Relaxed) + self.dropped.load(Ordering::Relaxed)
    }
}

/// Shows what has become of spans and log records.
pub(super) fn observe() {
    for (delivery, exported, processed) in [
        (&*SPANS, &metrics::OTEL_SDK_EXPORTER_SPAN_EXPORTED, &metrics::OTEL_SDK_PROCESSOR_SPAN_PROCESSED),
        (&*LOGS, &metrics::OTEL_SDK_EXPORTER_LOG_EXPORTED, &metrics::OTEL_SDK_PROCESSOR_LOG_PROCESSED),
    ] {
        exported.observe(|observer| {
            observer.observe(delivery.exported.load(Ordering::Relaxed), &[]);
            observer.observe(delivery.failed.load(Ordering::Relaxed), &[attributes::ERROR_TYPE.of("_OTHER")]);
        });
        processed.observe(|observer| {
            let queue_full = attributes::ERROR_TYPE.of("queue_full");
            observer.observe(delivery.dropped.load(Ordering::Relaxed), &[queue_full]);
        });
    }
}

/// An exporter whose results are counted.
#[derive(Debug)]
pub(super) struct Counted<E>(pub(super) E, pub(super) &'static Delivery);

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let result = self.0.export(batch).await;
        self.1.ended(count, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count() as u64;
        let result = self.0.export(batch).await;
        self.1.ended(count, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Counted<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.0.export(metrics).await;
        self.1.ended(0, &result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.0.temporality()
    }
}

/// A processor that takes no more than may wait.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    pub(super) inner: P,
    pub(super) delivery: &'static Delivery,
    pub(super) limit: u64,
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.delivery.admit(self.limit) {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<P: LogProcessor> LogProcessor for Bounded<P> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.delivery.admit(self.limit) {
            self.inner.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
