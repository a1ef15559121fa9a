//! What readiness says, over HTTP and over gRPC.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use e2e::{Answer, Cluster, SERVICES};
use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use trireme::http::Http;

use crate::tally::{Phase, Tally};

/// Between two questions.
const PACE: Duration = Duration::from_millis(500);
/// Whoever asks waits no longer.
const LIMIT: Duration = Duration::from_secs(2);
/// `SERVING` of grpc.health.v1.
const SERVING: i32 = 1;

/// Asks the three services.
pub(crate) struct Readiness {
    http: Http,
    services: Vec<Service>,
    said: Mutex<Vec<Said>>,
    right: Mutex<Option<Instant>>,
}

struct Service {
    ready: String,
    grpc: HealthClient<Channel>,
}

/// What one of them said while the fault stood.
#[derive(Clone, Default)]
struct Said {
    asked: u32,
    not_ready: u32,
    not_serving: u32,
    /// What the body said of checks that were not simply ready, the first time.
    details: BTreeMap<String, String>,
    /// Since the fault was put right, until it was ready.
    again: Option<Duration>,
}

impl Readiness {
    pub(crate) fn of(cluster: &Cluster) -> Result<Self> {
        let service = |name: &&str| {
            let process = cluster.process(name)?;
            let endpoint = Endpoint::from_shared(process.grpc)?.timeout(LIMIT).connect_timeout(LIMIT);
            let ready = format!("{}/healthz/ready", process.admin);
            anyhow::Ok(Service { ready, grpc: HealthClient::new(endpoint.connect_lazy()) })
        };
        let services = SERVICES.iter().map(service).collect::<Result<Vec<_>>>()?;
        let said = Mutex::new(vec![Said::default(); services.len()]);
        Ok(Self { http: Http::new(), services, said, right: Mutex::default() })
    }

    /// Until nobody waits for it any more.
    pub(crate) async fn ask_again_and_again(&self, tally: &Tally) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let phase = tally.phase();
            let answers = join_all(self.services.iter().map(|service| self.ask(service))).await;
            // What was asked before the fault began or ended belongs to neither side.
            if phase == tally.phase() {
                self.note(phase, answers);
            }
        }
    }

    async fn ask(&self, service: &Service) -> (Option<Answer>, bool) {
        let mut grpc = service.grpc.clone();
        let (http, grpc) = tokio::join!(self.http.get(&service.ready), grpc.check(HealthCheckRequest::default()));
        (http.ok(), grpc.is_ok_and(|answer| answer.into_inner().status == SERVING))
    }

    fn note(&self, phase: Phase, answers: Vec<(Option<Answer>, bool)>) {
        let right = *self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for (said, (http, serving)) in all.iter_mut().zip(answers) {
            let ready = http.as_ref().is_some_and(|answer| answer.status.is_success());
            match phase {
                Phase::During => said.during(ready, serving, http.as_ref()),
                Phase::After if ready && serving => said.again = said.again.or(right.map(|right| right.elapsed())),
                Phase::Before | Phase::After => {}
            }
        }
    }

    /// The fault is put right.
    pub(crate) fn ends(&self, at: Instant) {
        *self.right.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// A line for each service.
    pub(crate) fn said(&self) -> Vec<String> {
        let all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        SERVICES.iter().zip(all.iter()).map(|(service, said)| format!("{service}: {}", said.line())).collect()
    }
}

impl Said {
    fn during(&mut self, ready: bool, serving: bool, answer: Option<&Answer>) {
        self.asked += 1;
        self.not_ready += u32::from(!ready);
        self.not_serving += u32::from(!serving);
        let checks = answer.and_then(|answer| answer.body["checks"].as_object());
        for (name, check) in checks.into_iter().flatten() {
            let (status, detail) = (check["status"].as_str().unwrap_or_default(), check["detail"].as_str());
            if status != "ready" {
                let said = format!("{status}: {}", detail.unwrap_or_default());
                self.details.entry(name.clone()).or_insert(said);
            }
        }
    }

    fn line(&self) -> String {
        let Self { asked, not_ready, not_serving, .. } = self;
        let again = match self.again {
            Some(after) if *not_ready + *not_serving > 0 => format!(", ready again after {:.1} s", after.as_secs_f64()),
            None => ", **not ready again**".to_owned(),
            Some(_) => String::new(),
        };
        let details = self.details.iter().map(|(name, said)| format!("; {name} {}", said.replace(['\n', '|'], " ")));
        let details = details.collect::<String>();
        format!("not ready {not_ready} of {asked}, gRPC not serving {not_serving}{again}{details}")
    }
}
