//! What ten times as much stored costs: nothing, where each request reads what it answers and no more.

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    REST, SETTINGS,
    load::{Figures, Load},
    measured, memory,
    scenarios::{Scenario, Shop, Stored},
    start,
};

const BEFORE: Stored = Stored { users: 50, products: 100, orders: 2_000 };
const AFTER: Stored = Stored { users: 500, products: 1_000, orders: 20_000 };
/// Log-ins at once, and in all.
const AT_ONCE: usize = 16;
const LOG_INS: usize = 1_000;
const LOAD: Load = Load::Closed(16);

/// Measures on the servers with the one stored and with the other, and prints the ratios; then memory after many log-ins.
pub(crate) async fn show() -> Result<()> {
    let (setting, mut notes) = (SETTINGS[1], Vec::new());
    let cluster = start(setting)?;
    let mut shop = Shop::open(&cluster, BEFORE).await?;
    let mut before = Vec::new();
    for scenario in Scenario::ALL {
        shop.log_in_again().await?;
        before.push(measured(LOAD, &cluster, &shop, scenario).await?);
    }
    memory::note(&cluster, setting, "with little stored", &mut notes)?;
    shop.grow(AFTER).await?;
    memory::note(&cluster, setting, "after 20,000 orders, the most", &mut notes)?;
    // Those that place orders come last: what they store is more than ten times as much.
    for (scenario, before) in Scenario::ALL.into_iter().zip(before) {
        shop.log_in_again().await?;
        let after = measured(LOAD, &cluster, &shop, scenario).await?;
        println!("{:<14} {}", scenario.name(), beside(&before, &after));
    }
    let log_ins = stream::iter(0..LOG_INS).map(|n| shop.log_in(n)).buffer_unordered(AT_ONCE);
    log_ins.try_for_each(async |()| Ok(())).await?;
    memory::note(&cluster, setting, "after 1,000 log-ins, the most", &mut notes)?;
    memory::note(&cluster, setting, "after 1,000 log-ins", &mut notes)?;
    tokio::time::sleep(REST).await;
    memory::note(&cluster, setting, "a minute later", &mut notes)
}

fn beside(before: &Figures, after: &Figures) -> String {
    let (cpu, p99) = (before.a_cpu_second / after.a_cpu_second, after.p99 / before.p99);
    format!(
        "CPU a request {cpu:.2} of before, p99 {p99:.2} ({:.1} ms, {:.1} ms before); {} failed",
        after.p99,
        before.p99,
        before.failed + after.failed
    )
}
