//! The three services under the real collector, Prometheus and Alertmanager, with the configuration of `deploy/`.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of them")]

mod collector;
mod notifications;
mod runbook;
mod scrape;

/// Whether these programs are there; says so where one is not.
fn installed(programs: &[&str]) -> bool {
    programs.iter().all(|name| testkit::servers::program(name).is_some())
}
