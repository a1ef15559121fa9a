//! What two scrapes of a service say of the time between them.

use std::{collections::BTreeSet, time::Duration};

use super::exposition::Samples;

/// Requests of both protocols, by their histograms.
const REQUESTS: [&str; 2] = ["http_server_request_duration_seconds", "rpc_server_call_duration_seconds"];
/// The codes of gRPC that stand for a fault of the service.
const FAULTS: [&str; 5] = ["INTERNAL", "UNKNOWN", "DATA_LOSS", "UNAVAILABLE", "DEADLINE_EXCEEDED"];

/// How a service is; `None` is what it does not have or has not told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// A second.
    pub(crate) requests: f64,
    /// The fraction of the requests that failed by the service's fault.
    pub(crate) errors: Option<f64>,
    /// Seconds within which half, and 99 of a hundred, were answered.
    pub(crate) median: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Events that are not published yet.
    pub(crate) outbox: Option<f64>,
    /// Events that are not handled yet.
    pub(crate) lag: Option<f64>,
    /// Orders on their way.
    pub(crate) sagas: Option<f64>,
    /// Bytes.
    pub(crate) memory: Option<f64>,
    /// Cores.
    pub(crate) cpu: Option<f64>,
}

impl Figures {
    /// Compares two scrapes.
    pub(crate) fn between(before: &Samples, after: &Samples, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(f64::EPSILON);
        let count = |suffix: &str, label: &str, fits: &dyn Fn(&str) -> bool| -> f64 {
            let names = REQUESTS.iter().map(|name| format!("{name}_{suffix}"));
            names.map(|name| rise(before, after, &name, label, fits)).sum()
        };
        let requests = count("count", "", &|_| true);
        let failed = count("count", "http_response_status_code", &|code| code.starts_with('5'))
            + count("count", "rpc_response_status_code", &|code| FAULTS.contains(&code));
        let bounds: BTreeSet<&str> =
            REQUESTS.iter().flat_map(|name| after.values(&format!("{name}_bucket"), "le")).collect();
        let mut within: Vec<(f64, f64)> = bounds
            .into_iter()
            .filter_map(|le| Some((le.parse().ok()?, count("bucket", "le", &|bound| bound == le))))
            .collect();
        within.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Self {
            requests: requests / seconds,
            errors: (requests > 0.0).then(|| failed / requests),
            median: quantile(0.5, &within),
            p99: quantile(0.99, &within),
            outbox: after.sum("messaging_outbox_waiting"),
            lag: after.sum("messaging_consumer_waiting"),
            sagas: after.sum("order_sagas_open"),
            memory: after.sum("process_memory_usage_bytes"),
            cpu: after
                .sum("process_cpu_time_seconds_total")
                .map(|_| rise(before, after, "process_cpu_time_seconds_total", "", &|_| true) / seconds),
        }
    }
}

/// How much a counter rose; one that was reset began at 0.
fn rise(before: &Samples, after: &Samples, name: &str, label: &str, fits: &dyn Fn(&str) -> bool) -> f64 {
    let then = before.sum_where(name, label, fits).unwrap_or_default();
    let now = after.sum_where(name, label, fits).unwrap_or_default();
    if now >= then { now - then } else { now }
}

/// The value below which this fraction lies, by linear interpolation in its bucket as Prometheus' `histogram_quantile`.
fn quantile(fraction: f64, within: &[(f64, f64)]) -> Option<f64> {
    let (_, all) = within.last().filter(|(_, all)| *all > 0.0)?;
    let rank = fraction * all;
    let at = within.iter().position(|(_, count)| *count >= rank)?;
    let (floor, below) = if at == 0 { (0.0, 0.0) } else { within[at - 1] };
    let (bound, count) = within[at];
    // Beyond the last bound nothing is known but that.
    if bound.is_infinite() {
        return Some(floor);
    }
    Some(floor + (bound - floor) * (rank - below) / (count - below).max(f64::EPSILON))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(requests: u32, slow: u32, failed: u32) -> Samples {
        let (fast, ok) = (requests - slow, requests - failed);
        Samples::read(&format!(
            "http_server_request_duration_seconds_bucket{{le=\"0.1\"}} {fast}\n\
             http_server_request_duration_seconds_bucket{{le=\"1\"}} {requests}\n\
             http_server_request_duration_seconds_bucket{{le=\"+Inf\"}} {requests}\n\
             http_server_request_duration_seconds_count{{http_response_status_code=\"201\"}} {ok}\n\
             http_server_request_duration_seconds_count{{http_response_status_code=\"503\"}} {failed}\n\
             rpc_server_call_duration_seconds_count{{rpc_response_status_code=\"OK\"}} 0\n\
             messaging_consumer_waiting{{messaging_consumer_group_name=\"order\"}} 3\n\
             messaging_consumer_waiting{{messaging_consumer_group_name=\"other\"}} 4\n\
             process_memory_usage_bytes 1048576\n\
             process_cpu_time_seconds_total{{cpu_mode=\"user\"}} {requests}\n"
        ))
    }

    #[test]
    fn two_scrapes_are_rates() {
        let figures = Figures::between(&scrape(100, 0, 0), &scrape(300, 100, 20), Duration::from_secs(2));
        assert_eq!(
            (Some(figures.requests), figures.errors, figures.lag, figures.memory),
            (Some(100.0), Some(0.1), Some(7.0), Some(1_048_576.0))
        );
        assert_eq!((figures.cpu, figures.outbox, figures.sagas), (Some(100.0), None, None));
        // 200 requests, of which 100 in the first bucket: half of them within 0.1 s, 99 of a hundred near 1 s.
        assert_eq!(figures.median, Some(0.1));
        assert!(figures.p99.is_some_and(|p99| (p99 - 0.982).abs() < 1e-9), "{figures:?}");
    }

    #[test]
    fn a_service_that_was_started_again_has_no_negative_rate() {
        let figures = Figures::between(&scrape(100, 0, 0), &scrape(10, 0, 0), Duration::from_secs(1));
        assert_eq!(Some(figures.requests), Some(10.0));
    }

    #[test]
    fn who_is_idle_has_no_durations() {
        let figures = Figures::between(&scrape(5, 1, 1), &scrape(5, 1, 1), Duration::from_secs(1));
        assert_eq!((figures.requests, figures.errors, figures.median, figures.p99), (0.0, None, None, None));
    }

    #[test]
    fn beyond_the_last_bound_the_last_bound_is_known() {
        assert_eq!(quantile(0.99, &[(0.1, 0.0), (f64::INFINITY, 5.0)]), Some(0.1));
    }
}
