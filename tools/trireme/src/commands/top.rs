//! `trireme top`: how the services are, each second.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Result;
use futures::future::join_all;
use tokio::time::{Instant, interval};

use crate::{
    data::Data,
    http::Http,
    output::{Output, dim},
    service::Service,
    signals::Signals,
    state::State,
    top::{Figures, Samples, table},
};

const PERIOD: Duration = Duration::from_secs(1);
/// To the first line, and away with all that follows.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// What a service said, and when.
type Scrape = (Instant, Option<Samples>);

pub(crate) async fn run(path: &Path, once: bool) -> Result<ExitCode> {
    let (data, output, http) = (Data::open(path)?, Output::new(), Http::new());
    super::running(&data)?;
    let (mut signals, mut ticks) = (Signals::new()?, interval(PERIOD));
    ticks.tick().await;
    let mut before = scrape(&http, &data.state()?).await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = signals.next() => return Ok(ExitCode::SUCCESS),
        }
        // Read again: ports stay, but whoever is started anew may be asked for later.
        let after = scrape(&http, &super::running(&data)?).await;
        let rows: Vec<_> = before.iter().zip(&after).map(|(before, after)| compare(before, after)).collect();
        if output.is_terminal() && !once {
            output.line(&format!("{CLEAR}{}", dim("each second; Ctrl-C ends it")));
        }
        output.lines(&table(&rows));
        if once {
            return Ok(ExitCode::SUCCESS);
        }
        before = after;
    }
}

async fn scrape(http: &Http, state: &State) -> Vec<(Service, Scrape)> {
    join_all(state.services.iter().map(|service| async {
        let text = http.text(&format!("{}/metrics", service.addresses.admin)).await;
        (service.name, (Instant::now(), text.ok().map(|text| Samples::read(&text))))
    }))
    .await
}

/// What is new since the last scrape; who was not there then began with nothing.
fn compare((_, before): &(Service, Scrape), (service, after): &(Service, Scrape)) -> (Service, Option<Figures>) {
    let (then, nothing) = (before.1.as_ref(), Samples::default());
    let figures = after.1.as_ref().map(|now| Figures::between(then.unwrap_or(&nothing), now, after.0 - before.0));
    (*service, figures)
}
