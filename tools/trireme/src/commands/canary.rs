//! `trireme canary`: version 2 beside version 1, by what Prometheus knows.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    http::Http,
    output::{Output, bold, dim, mark},
    service::Service,
};

/// Exit codes beside 0, go. An error is 1 and a wrong command line 2, as everywhere.
const NO_GO: u8 = 3;
const UNDECIDED: u8 = 4;

/// The quantile of the durations of version 1.
const QUANTILE: f64 = 0.99;

/// What has failed: answers of the server's own fault over HTTP and gRPC, and orders that were accepted and not decided,
/// because payment did not answer.
const FAILED: [&str; 3] = [
    ",http_response_status_code=~\"5..\"",
    ",rpc_response_status_code=~\"INTERNAL|UNKNOWN|DATA_LOSS|UNAVAILABLE|DEADLINE_EXCEEDED\"",
    ",http_route=\"/v1/orders\",http_request_method=\"POST\",http_response_status_code=\"202\"",
];

/// What is asked of Prometheus, and what is still good enough.
#[derive(Clone, Debug, Args)]
pub(crate) struct Question {
    /// Where Prometheus answers.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090", env = "PROMETHEUS_URL")]
    prometheus: String,
    /// The time to look back on, as Prometheus writes it.
    #[arg(long, default_value = "5m", value_parser = window)]
    window: String,
    /// Another label that the metrics must have, where several installations share a Prometheus: namespace=shop.
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Requests that each version must have had for a go.
    #[arg(long, default_value_t = 100)]
    min_requests: u32,
    /// How many more of a hundred requests may fail than with version 1.
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = percent)]
    more_errors: f64,
    /// How many more of a hundred may take longer than 99 of a hundred take with version 1 (to the histogram's bound).
    #[arg(long, value_name = "PERCENT", default_value = "4", value_parser = percent)]
    more_slow: f64,
}

/// One version, as Prometheus counts it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    requests: f64,
    errors: f64,
    /// Requests that took no longer than each bound, in seconds.
    within: Vec<(f64, f64)>,
}

/// What follows from two of them.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Go,
    NoGo(Vec<String>),
    Undecided(String),
}

impl Seen {
    fn error_rate(&self) -> f64 {
        if self.requests > 0.0 { self.errors / self.requests } else { 0.0 }
    }

    /// The least bound within which this fraction of the requests was answered.
    fn bound(&self, fraction: f64) -> Option<f64> {
        let (_, all) = self.within.last().filter(|(_, all)| *all > 0.0)?;
        self.within.iter().find(|(_, count)| *count >= fraction * all).map(|(bound, _)| *bound)
    }

    /// The fraction of the requests that took longer than a bound.
    fn slower_than(&self, bound: f64) -> Option<f64> {
        let (_, all) = self.within.last().filter(|(_, all)| *all > 0.0)?;
        let (_, count) = self.within.iter().find(|(known, _)| *known >= bound)?;
        Some(1.0 - count / all)
    }
}

impl Question {
    /// Errors decide as soon as there are more than a full measure of requests may have; a go takes that measure.
    fn judge(&self, stable: &Seen, canary: &Seen) -> Verdict {
        let least = f64::from(self.min_requests);
        let mut against = Vec::new();
        let allowed = (stable.error_rate() + self.more_errors / 100.0) * canary.requests.max(least);
        if canary.errors > allowed {
            against.push(format!("{:.0} of its requests failed, {allowed:.1} may", canary.errors));
        }
        for (seen, name) in [(canary, "version 2"), (stable, "version 1")] {
            if against.is_empty() && seen.requests < least {
                return Verdict::Undecided(format!("{name} had {:.0} requests, not {least:.0}", seen.requests));
            }
        }
        let slow =
            stable.bound(QUANTILE).and_then(|bound| Some((canary.slower_than(bound)?, stable.slower_than(bound)?)));
        match slow {
            None if against.is_empty() => return Verdict::Undecided("Prometheus has no durations of both".to_owned()),
            Some((canary, stable)) if canary > stable + self.more_slow / 100.0 => {
                against.push(format!(
                    "{:.1} % of its requests are slow, with version 1 {:.1} %",
                    canary * 100.0,
                    stable * 100.0
                ));
            }
            _ => {}
        }
        if against.is_empty() { Verdict::Go } else { Verdict::NoGo(against) }
    }

    /// Selects series of the service, whichever protocol they are of.
    fn series(&self, service: &str, suffix: &str, matcher: &str) -> String {
        let names = format!("http_server_request_duration_seconds_{suffix}|rpc_server_call_duration_seconds_{suffix}");
        let labels = self.label.iter().fold(String::new(), |all, (name, value)| format!("{all},{name}=\"{value}\""));
        format!("{{__name__=~\"{names}\",job=~\"(.+/)?{service}(-admin)?\"{labels}{matcher}}}")
    }

    /// How much counters rose. `increase` does not see the value that a series is born with, as each is with its first
    /// error: those are added.
    fn rise(&self, by: &str, series: &str) -> String {
        let window = &self.window;
        let seen = format!("sum by ({by}) (increase({series}[{window}]))");
        let born = format!("sum by ({by}) (min_over_time({series}[{window}]) unless {series} offset {window})");
        format!("({seen} or {born} * 0) + ({born} or {seen} * 0)")
    }

    async fn ask(&self, http: &Http, service: &str) -> Result<BTreeMap<String, Seen>> {
        let count = |matcher: &str| self.rise("version", &self.series(service, "count", matcher));
        let mut all: BTreeMap<String, Seen> = BTreeMap::new();
        for (labels, value) in self.query(http, &count("")).await? {
            all.entry(labels.version).or_default().requests = value;
        }
        for failed in FAILED {
            for (labels, value) in self.query(http, &count(failed)).await? {
                all.entry(labels.version).or_default().errors += value;
            }
        }
        let buckets = self.rise("version, le", &self.series(service, "bucket", ""));
        for (labels, value) in self.query(http, &buckets).await? {
            let bound = labels.le.parse().context("a histogram's bound is no number")?;
            all.entry(labels.version).or_default().within.push((bound, value));
        }
        for seen in all.values_mut() {
            seen.within.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        }
        Ok(all)
    }

    async fn query(&self, http: &Http, promql: &str) -> Result<Vec<(Labels, f64)>> {
        let base = self.prometheus.trim_end_matches('/');
        let url = format!("{base}/api/v1/query?query={}", utf8_percent_encode(promql, NON_ALPHANUMERIC));
        let answer = http.get(&url).await.context("Prometheus does not answer: name it with --prometheus URL")?;
        ensure!(answer.status.is_success(), "Prometheus refuses `{promql}`: {}", answer.body);
        let results = answer.body["data"]["result"].as_array().context("Prometheus answers with no result")?;
        let value = |result: &serde_json::Value| {
            let number: f64 = result["value"][1].as_str()?.parse().ok()?;
            let label = |name: &str| result["metric"][name].as_str().unwrap_or_default().to_owned();
            number.is_finite().then(|| (Labels { version: label("version"), le: label("le") }, number))
        };
        results.iter().map(|result| value(result).context("Prometheus answers with no number")).collect()
    }
}

/// What a sum is of.
struct Labels {
    version: String,
    le: String,
}

pub(crate) async fn run(service: &str, question: &Question) -> Result<ExitCode> {
    let known = Service::ALL.map(Service::name);
    ensure!(known.contains(&service), "unknown service `{service}`; known are {}", known.join(", "));
    let mut seen = question.ask(&Http::new(), service).await?;
    let [stable, canary] = ["v1", "v2"].map(|version| seen.remove(version).unwrap_or_default());
    let output = Output::new();
    let bound = stable.bound(QUANTILE).filter(|bound| bound.is_finite());
    let slow = bound.map(|bound| format!("> {:.0} ms", bound * 1_000.0)).unwrap_or_default();
    output.line(&dim(&format!("{:<12}{:>10}{:>10}{slow:>12}", "", "requests", "errors")));
    for (version, seen) in [("v1", &stable), ("v2", &canary)] {
        let errors = format!("{:.2} %", seen.error_rate() * 100.0);
        let slow = bound.and_then(|bound| seen.slower_than(bound));
        let slow = slow.map(|fraction| format!("{:.2} %", fraction * 100.0)).unwrap_or_default();
        let name = format!("{service} {version}");
        output.line(&format!("{name:<12}{:>10.0}{errors:>10}{slow:>12}", seen.requests));
    }
    Ok(tell(&output, &question.judge(&stable, &canary)))
}

fn tell(output: &Output, verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Go => {
            output.line(&format!("{} {}", mark(true), bold("go")));
            ExitCode::SUCCESS
        }
        Verdict::NoGo(against) => {
            output.line(&format!("{} {}: {}", mark(false), bold("no-go"), against.join("; ")));
            ExitCode::from(NO_GO)
        }
        Verdict::Undecided(why) => {
            output.line(&format!("? {}: {why}", bold("too early to tell")));
            ExitCode::from(UNDECIDED)
        }
    }
}

/// A duration as Prometheus writes it, and nothing else: it becomes part of a query.
fn window(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let good = text.len() == digits.len() + 1 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if good { Ok(text.to_owned()) } else { Err("write it as 30s, 5m or 1h".to_owned()) }
}

/// A label and its value, neither of which can leave its place in a query.
fn label(text: &str) -> Result<(String, String), String> {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c));
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && plain(name) && plain(value) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write it as namespace=shop".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        question: Question,
    }

    fn question(arguments: &[&str]) -> Question {
        Line::parse_from([&["canary"], arguments].concat()).question
    }

    /// So many requests, of which some fail and some take longer than 100 ms, but none a second.
    fn seen(requests: f64, errors: f64, slow: f64) -> Seen {
        let within = vec![(0.1, requests - slow), (1.0, requests), (f64::INFINITY, requests)];
        Seen { requests, errors, within }
    }

    #[test]
    fn errors_and_time_decide() {
        let (question, stable) = (question(&[]), seen(10_000.0, 10.0, 50.0));
        let judge = |canary: Seen| question.judge(&stable, &canary);
        assert_eq!(judge(seen(1_000.0, 10.0, 44.0)), Verdict::Go, "1.1 % and 4.5 % may");
        assert_eq!(judge(seen(100.0, 1.0, 4.0)), Verdict::Go);
        for (errors, slow, faults) in [(12.0, 0.0, 1), (0.0, 46.0, 1), (12.0, 46.0, 2)] {
            assert!(matches!(judge(seen(1_000.0, errors, slow)), Verdict::NoGo(why) if why.len() == faults));
        }
    }

    #[test]
    fn a_go_takes_requests_and_a_no_go_takes_errors() {
        let (question, stable) = (question(&[]), seen(10_000.0, 0.0, 0.0));
        assert!(matches!(question.judge(&stable, &seen(99.0, 0.0, 0.0)), Verdict::Undecided(_)));
        assert!(matches!(question.judge(&stable, &seen(5.0, 5.0, 0.0)), Verdict::NoGo(_)), "it is ejected after five");
        assert!(matches!(question.judge(&seen(9.0, 0.0, 0.0), &seen(1_000.0, 0.0, 0.0)), Verdict::Undecided(_)));
        let untimed = Seen { within: Vec::new(), ..seen(1_000.0, 0.0, 0.0) };
        assert!(matches!(question.judge(&stable, &untimed), Verdict::Undecided(_)));
        assert!(matches!(question.judge(&Seen::default(), &Seen::default()), Verdict::Undecided(_)));
    }

    #[test]
    fn what_comes_from_the_command_line_stays_in_its_place() {
        let bad = ["5", "m", "5m]) or vector(0", "-5m", "5 m"];
        assert!(bad.iter().all(|text| window(text).is_err()));
        assert!(["a=\"", "=x", "a", "a=x\"}"].iter().all(|text| label(text).is_err()));
        assert!(["NaN", "-1", "101", "x"].iter().all(|text| percent(text).is_err()));
        let question = question(&["--window", "30s", "--label", "namespace=shop"]);
        assert_eq!(
            question.series("order", "count", ""),
            "{__name__=~\"http_server_request_duration_seconds_count|rpc_server_call_duration_seconds_count\",\
             job=~\"(.+/)?order(-admin)?\",namespace=\"shop\"}"
        );
    }
}
