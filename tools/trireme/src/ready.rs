//! Waiting until all services can do their work.

use std::time::Duration;

use anyhow::{Result, bail};
use http::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use crate::{
    folder::Folder,
    http::Client,
    service::{NAMES, Plan, local},
    terminal,
};

/// Much longer than a start takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Waits for each service's admin port to say `ready`. `give_up` may end the wait with a reason.
pub(crate) async fn wait(folder: &Folder, plan: &Plan, give_up: impl Fn() -> Option<String>) -> Result<()> {
    let (client, start) = (Client::default(), Instant::now());
    let spinner = terminal::spinner("starting user, order and payment");
    for (name, ports) in NAMES.into_iter().zip(plan.0) {
        let url = format!("{}/healthz/ready", local(ports.admin));
        while !matches!(client.send(Method::GET, &url, &[], None).await, Ok(answer) if answer.status == StatusCode::OK) {
            if let Some(reason) = give_up() {
                bail!("{reason}");
            }
            if start.elapsed() > PATIENCE {
                bail!("{name} is not ready after {PATIENCE:?}; its log ends with:\n{}", folder.tail(name, 5));
            }
            sleep(INTERVAL).await;
        }
    }
    spinner.finish_and_clear();
    Ok(())
}
