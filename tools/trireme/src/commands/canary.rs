//! `trireme canary`: version 2 beside version 1, by what Prometheus knows.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    http::Http,
    output::{Output, bold, dim, mark},
};

/// What version 2 had too little traffic for.
const UNDECIDED: u8 = 2;

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
    /// Requests that version 2 must have had.
    #[arg(long, default_value_t = 100)]
    min_requests: u32,
    /// How many more of a hundred requests may fail than with version 1.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.5)]
    more_errors: f64,
    /// How much longer the 99th percentile may be than that of version 1, beyond 10 ms.
    #[arg(long, value_name = "PERCENT", default_value_t = 25.0)]
    slower: f64,
}

/// One version, as Prometheus counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    requests: f64,
    errors: f64,
    /// 99th percentile in seconds; 0 without requests.
    p99: f64,
}

/// What follows from two of them.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Go,
    NoGo(Vec<String>),
    Undecided(String),
}

impl Seen {
    fn error_rate(self) -> f64 {
        if self.requests > 0.0 { self.errors / self.requests } else { 0.0 }
    }
}

impl Question {
    fn judge(&self, stable: Seen, canary: Seen) -> Verdict {
        let least = f64::from(self.min_requests);
        for (seen, name) in [(canary, "version 2"), (stable, "version 1")] {
            if seen.requests < least {
                return Verdict::Undecided(format!("{name} had {:.0} requests, not {least:.0}", seen.requests));
            }
        }
        let mut against = Vec::new();
        if canary.error_rate() > stable.error_rate() + self.more_errors / 100.0 {
            against.push(format!("more than {} % more of its requests fail", self.more_errors));
        }
        // Buckets of a histogram are coarse: the first is 5 ms wide.
        if canary.p99 > stable.p99 * (1.0 + self.slower / 100.0) + 0.010 {
            against.push(format!("its 99th percentile is more than {} % longer", self.slower));
        }
        if against.is_empty() { Verdict::Go } else { Verdict::NoGo(against) }
    }

    /// Selects series of the service, whichever protocol they are of.
    fn selector(&self, service: &str, part: &str, matcher: &str) -> String {
        let names = format!("http_server_request_duration_seconds_{part}|rpc_server_call_duration_seconds_{part}");
        let labels = self.label.iter().fold(String::new(), |all, (name, value)| format!("{all},{name}=\"{value}\""));
        format!("{{__name__=~\"{names}\",job=~\"(.+/)?{service}(-admin)?\"{labels}{matcher}}}[{}]", self.window)
    }

    async fn ask(&self, http: &Http, service: &str) -> Result<BTreeMap<String, Seen>> {
        let count =
            |matcher: &str| format!("sum by (version) (increase({}))", self.selector(service, "count", matcher));
        let buckets = format!("sum by (version, le) (increase({}))", self.selector(service, "bucket", ""));
        let requests = self.query(http, &count("")).await?;
        let failed = self.query(http, &count(",http_response_status_code=~\"5..\"")).await?;
        let broken = ",rpc_response_status_code=~\"Internal|Unknown|DataLoss|Unavailable\"";
        let broken = self.query(http, &count(broken)).await?;
        let p99 = self.query(http, &format!("histogram_quantile(0.99, {buckets})")).await?;
        let of = |values: &BTreeMap<String, f64>, version: &str| values.get(version).copied().unwrap_or_default();
        let seen = |version: &String| Seen {
            requests: of(&requests, version),
            errors: of(&failed, version) + of(&broken, version),
            p99: of(&p99, version),
        };
        Ok(requests.keys().map(|version| (version.clone(), seen(version))).collect())
    }

    /// One value for each version.
    async fn query(&self, http: &Http, promql: &str) -> Result<BTreeMap<String, f64>> {
        let base = self.prometheus.trim_end_matches('/');
        let url = format!("{base}/api/v1/query?query={}", utf8_percent_encode(promql, NON_ALPHANUMERIC));
        let answer = http.get(&url).await.context("Prometheus does not answer: name it with --prometheus URL")?;
        ensure!(answer.status.is_success(), "Prometheus refuses `{promql}`: {}", answer.body);
        let results = answer.body["data"]["result"].as_array().context("Prometheus answers with no result")?;
        let value = |result: &serde_json::Value| {
            let number: f64 = result["value"][1].as_str()?.parse().ok()?;
            let version = result["metric"]["version"].as_str().unwrap_or_default();
            // Without requests there is no percentile: NaN.
            Some((version.to_owned(), if number.is_finite() { number } else { 0.0 }))
        };
        results.iter().map(|result| value(result).context("Prometheus answers with no number")).collect()
    }
}

pub(crate) async fn run(service: &str, question: &Question) -> Result<ExitCode> {
    let known = crate::service::Service::ALL.map(crate::service::Service::name);
    ensure!(known.contains(&service), "unknown service `{service}`; known are {}", known.join(", "));
    let seen = question.ask(&Http::new(), service).await?;
    if seen.is_empty() {
        bail!("Prometheus knows no requests of {service} in the last {}", question.window);
    }
    let output = Output::new();
    output.line(&dim(&format!("{:<10}{:>10}{:>10}{:>12}", "", "requests", "errors", "p99")));
    let of = |version: &str| seen.get(version).copied().unwrap_or_default();
    let (stable, canary) = (of("v1"), of("v2"));
    for (version, seen) in [("v1", stable), ("v2", canary)] {
        let errors = format!("{:.2} %", seen.error_rate() * 100.0);
        let name = format!("{service} {version}");
        output.line(&format!("{name:<10}{:>10.0}{errors:>10}{:>9.1} ms", seen.requests, seen.p99 * 1_000.0));
    }
    Ok(tell(&output, &question.judge(stable, canary)))
}

fn tell(output: &Output, verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Go => {
            output.line(&format!("{} {}", mark(true), bold("go")));
            ExitCode::SUCCESS
        }
        Verdict::NoGo(against) => {
            output.line(&format!("{} {}: {}", mark(false), bold("no-go"), against.join("; ")));
            ExitCode::FAILURE
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        question: Question,
    }

    fn question(arguments: &[&str]) -> Question {
        Line::parse_from([&["canary"], arguments].concat()).question
    }

    fn seen(requests: f64, errors: f64, p99: f64) -> Seen {
        Seen { requests, errors, p99 }
    }

    #[test]
    fn errors_and_time_decide_and_only_with_enough_traffic() {
        let question = question(&[]);
        let stable = seen(10_000.0, 10.0, 0.040);
        assert_eq!(question.judge(stable, seen(1_000.0, 5.0, 0.050)), Verdict::Go);
        assert_eq!(question.judge(stable, seen(100.0, 0.0, 0.0599)), Verdict::Go);
        assert!(matches!(question.judge(stable, seen(1_000.0, 7.0, 0.040)), Verdict::NoGo(why) if why.len() == 1));
        assert!(matches!(question.judge(stable, seen(1_000.0, 0.0, 0.061)), Verdict::NoGo(why) if why.len() == 1));
        assert!(matches!(question.judge(stable, seen(1_000.0, 9.0, 1.0)), Verdict::NoGo(why) if why.len() == 2));
        assert!(matches!(question.judge(stable, seen(99.0, 99.0, 9.0)), Verdict::Undecided(_)));
        assert!(matches!(question.judge(seen(0.0, 0.0, 0.0), seen(1_000.0, 0.0, 0.1)), Verdict::Undecided(_)));
    }

    #[test]
    fn what_comes_from_the_command_line_stays_in_its_place() {
        let bad = ["5", "m", "5m]) or vector(0", "-5m", "5 m"];
        assert!(bad.iter().all(|text| window(text).is_err()));
        assert!(["a=\"", "=x", "a", "a=x\"}"].iter().all(|text| label(text).is_err()));
        let question = question(&["--window", "30s", "--label", "namespace=shop"]);
        assert_eq!(
            question.selector("order", "count", ""),
            "{__name__=~\"http_server_request_duration_seconds_count|rpc_server_call_duration_seconds_count\",\
             job=~\"(.+/)?order(-admin)?\",namespace=\"shop\"}[30s]"
        );
    }
}
