//! What telemetry costs where people read and order: two systems in turns, one that sends spans and log records to the real
//! collector, writes lines and is read by Prometheus, as the chart sets it, and one that does nothing of it.

use std::time::Duration;

use anyhow::Result;
use e2e::{
    Cluster,
    observe::{Collector, Prometheus},
};

use crate::{
    STORED,
    load::Load,
    scenarios::{Scenario, Shop},
};

const LOAD: Load = Load::Closed(16);
/// What else the machine does changes from second to second: each round of one is compared with the round of the other that
/// comes after it, and the first one warms up.
const ROUNDS: usize = 10;
const TIME: Duration = Duration::from_secs(2);
/// The line by which a process says that it is ready stays.
const OFF: [(&str, &str); 1] = [("TRIREME_TELEMETRY__LOG", "off,chassis::app=info")];

/// Prints requests per CPU-second with telemetry, as a ratio to those without.
pub(crate) async fn show() -> Result<()> {
    let collector = Collector::start().await?;
    let sent_to = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.otlp), ("OTEL_METRICS_EXPORTER", "none")];
    let (with, without) = (Cluster::start_with(&sent_to)?, Cluster::start_with(&OFF)?);
    let _prometheus = Prometheus::start(&with, &collector).await?;
    let mut shops = [(&with, Shop::open(&with, STORED).await?), (&without, Shop::open(&without, STORED).await?)];
    for scenario in Scenario::ALL {
        for (_, shop) in &mut shops {
            shop.log_in_again().await?;
        }
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let mut rates = [0.0; 2];
            for (rate, (cluster, shop)) in rates.iter_mut().zip(&shops) {
                let ask = async |n| shop.ask(scenario, n).await;
                *rate = LOAD.put(TIME, &cluster.processes()?, ask).await?.a_cpu_second;
            }
            ratios.push(rates[0] / rates[1]);
        }
        let mut ratios = ratios.split_off(1);
        ratios.sort_by(f64::total_cmp);
        let at = |quarter: usize| ratios[(ratios.len() - 1) * quarter / 4];
        println!("{:<14} {:.2} (half of the rounds {:.2} to {:.2})", scenario.name(), at(2), at(1), at(3));
    }
    Ok(())
}
