//! gRPC's health service (`grpc.health.v1`): says what readiness says.

use std::{convert::Infallible, time::Duration};

use tokio::time::sleep;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::Health;

/// How often the checks are run.
const INTERVAL: Duration = Duration::from_secs(2);

/// The status of the process and of each of its services.
pub(crate) struct GrpcHealth {
    reporter: HealthReporter,
    names: Vec<String>,
    status: ServingStatus,
}

impl GrpcHealth {
    /// Nobody is served yet.
    pub(crate) async fn new(reporter: HealthReporter, services: Vec<String>) -> Self {
        // The process itself has no name.
        let names = services.into_iter().chain([String::new()]).collect();
        let mut health = Self { reporter, names, status: ServingStatus::Unknown };
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// Keeps it at what the checks say, which are measured and logged with it, until it is dropped.
    pub(crate) async fn follow(&mut self, health: &Health) -> Infallible {
        loop {
            let report = health.report().await;
            report.note();
            let serves = report.is_ready();
            self.set(if serves { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
            sleep(INTERVAL).await;
        }
    }

    /// Tells whoever watches, where it is news.
    pub(crate) async fn set(&mut self, status: ServingStatus) {
        if self.status == status {
            return;
        }
        // Dropped halfway, it has told some of them: whoever comes next tells all.
        self.status = ServingStatus::Unknown;
        for name in &self.names {
            self.reporter.set_service_status(name, status).await;
        }
        self.status = status;
    }

    /// Ends all watches.
    pub(crate) async fn clear(&mut self) {
        for name in &self.names {
            self.reporter.clear_service_status(name).await;
        }
    }
}
