//! Which alerts fire when, and how far what they read goes.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use e2e::observe::Prometheus;
use monitoring::{Bound, Slos};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Lines of progress.
const TELL: u64 = 30;

/// When an alert fired, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fired {
    /// After the fault began; before it where that is negative.
    pub(crate) first: f64,
    /// Until when after its end, in the same way; `None` where it still does.
    pub(crate) over: Option<f64>,
}

/// Looks at Prometheus.
pub(crate) struct Watch<'a> {
    prometheus: &'a Prometheus,
    title: &'a str,
    start: Instant,
    begun: (Instant, SystemTime),
    ended: (Instant, SystemTime),
    /// When each was first seen, and last.
    seen: BTreeMap<String, (Instant, Instant)>,
    last_look: Instant,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(prometheus: &'a Prometheus, title: &'a str) -> Self {
        let now = (Instant::now(), SystemTime::now());
        Self { prometheus, title, start: now.0, begun: now, ended: now, seen: BTreeMap::new(), last_look: now.0 }
    }

    /// The fault begins now; what fired while everything was starting is past.
    pub(crate) fn begins(&mut self) {
        self.seen.clear();
        self.begun = (Instant::now(), SystemTime::now());
        self.tell("the fault begins");
    }

    /// And ends.
    pub(crate) fn ends(&mut self) {
        self.ended = (Instant::now(), SystemTime::now());
        self.tell("the fault ends");
    }

    /// When it did.
    pub(crate) fn times_of_fault(&self) -> (SystemTime, SystemTime) {
        (self.begun.1, self.ended.1)
    }

    fn tell(&self, what: &str) {
        eprintln!("{} {:>4} s: {what}", self.title, self.start.elapsed().as_secs());
    }

    /// Looks again and again, for so long.
    pub(crate) async fn during(&mut self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.look().await?;
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Looks again and again until no alert fires, for so long at most.
    pub(crate) async fn until_silent(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while self.look().await? > 0 && start.elapsed() < limit {
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// How many fire.
    async fn look(&mut self) -> Result<usize> {
        let found = self.prometheus.ask("alerts", "all", "").await?;
        let now = Instant::now();
        let firing = found["alerts"].as_array().context("no alerts")?.iter().filter(|one| one["state"] == "firing");
        let names: Vec<String> = firing.filter_map(|one| name(&one["labels"])).collect();
        for name in &names {
            if !self.seen.contains_key(name) {
                self.tell(&format!("{name} fires"));
            }
            self.seen.entry(name.clone()).or_insert((now, now)).1 = now;
        }
        if now.duration_since(self.start).as_secs() / TELL > self.last_look.duration_since(self.start).as_secs() / TELL
        {
            self.tell(&format!("{} alerts fire", names.len()));
        }
        self.last_look = now;
        Ok(names.len())
    }

    /// What fired.
    pub(crate) fn seen(&self) -> BTreeMap<String, Fired> {
        let since = |at: Instant, of: Instant| match at.checked_duration_since(of) {
            Some(after) => after.as_secs_f64(),
            None => -of.duration_since(at).as_secs_f64(),
        };
        let fired = |(first, last): &(Instant, Instant)| Fired {
            first: since(*first, self.begun.0),
            over: (*last < self.last_look).then(|| since(*last, self.ended.0)),
        };
        self.seen.iter().map(|(name, times)| (name.clone(), fired(times))).collect()
    }

    /// The furthest that each alert's measure went since the fault began.
    pub(crate) async fn most(&self, bounds: &[Bound]) -> Result<BTreeMap<String, f64>> {
        let window = self.begun.0.elapsed().as_secs();
        let mut most = BTreeMap::new();
        for Bound { alert, measured, above, .. } in bounds {
            let which = if *above { "max" } else { "min" };
            let query = format!("{which}({which}_over_time(({measured})[{window}s:1s]))");
            most.extend(self.value(&query).await?.map(|value| (alert.clone(), value)));
        }
        Ok(most)
    }

    /// The part of each objective's events that was bad in the time before now.
    pub(crate) async fn bad(&self, slos: &Slos, time: Duration) -> Result<BTreeMap<String, f64>> {
        let mut bad = BTreeMap::new();
        for slo in &slos.slos {
            let value = self.value(&slo.ratio(&format!("{}s", time.as_secs()))).await?;
            bad.extend(value.map(|value| (slo.alert(), value)));
        }
        Ok(bad)
    }

    /// Orders a second in the time before now.
    pub(crate) async fn orders(&self, time: Duration) -> Result<f64> {
        let selector = "http_server_request_duration_seconds_count{job=\"order\",http_route=\"/v1/orders\"}";
        let rate = self.value(&format!("sum(rate({selector}[{}s]))", time.as_secs())).await?;
        rate.context("nobody ordered")
    }

    async fn value(&self, query: &str) -> Result<Option<f64>> {
        let found = self.prometheus.ask("query", "query", query).await?;
        Ok(found["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok()))
    }
}

/// The alert's name. In windows of more than an hour there is nothing but the drill itself, which is not what they are for.
fn name(labels: &Value) -> Option<String> {
    let name = labels["alertname"].as_str().map(str::to_owned);
    name.filter(|_| labels["window"].as_str().is_none_or(|window| window == "1h"))
}
