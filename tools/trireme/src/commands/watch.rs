//! `trireme watch`: what happens to orders, line by line, while it happens.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    data::Data,
    http::Http,
    live::{Live, Told},
    output::{Output, bold, dim},
    service::Service,
};

/// Whose orders are watched, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    /// The access token of whose orders are watched: `access_token` of a log-in, `POST /v1/sessions`.
    // Not an argument: those stand in the list of processes.
    #[arg(env = "TRIREME_TOKEN", hide_env_values = true, long, hide = true)]
    token: Option<String>,
    /// The order service, or a gateway, where it is not what runs on the data directory.
    #[arg(long, value_name = "URL", env = "TRIREME_URL")]
    url: Option<String>,
    /// Watch everybody's orders; for operators.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(path: &Path, question: Question) -> Result<ExitCode> {
    let token = question.token.context("set TRIREME_TOKEN to the `access_token` of a log-in (POST /v1/sessions)")?;
    let url = match question.url {
        Some(url) => url,
        None => order(path)?,
    };
    let scope = if question.all { "?user_id=all" } else { "" };
    let url = format!("{}/v1/orders/stream{scope}", url.trim_end_matches('/'));
    let bearer = ("authorization".to_owned(), format!("Bearer {}", token.trim()));
    let output = Output::new();
    let mut live = Live::open(Http::new(), url, vec![bearer]).await?;
    output.line(&dim("watching; Ctrl-C ends it"));
    loop {
        match live.next().await? {
            Told::Event(event) => output.line(&line(&event)),
            Told::Missed => output.notice("some events were missed: look at GET /v1/orders; watching on"),
            Told::Expired => {
                output.notice("the access token has run out: log in again");
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}

fn order(path: &Path) -> Result<String> {
    let state = super::running(&Data::open(path)?)?;
    let order = state.service(Service::Order).context("no order service runs: give its URL with --url")?;
    Ok(order.addresses.http.clone())
}

/// One event: when, which order, and what.
fn line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (time, data) = (text(&event["time"]), &event["data"]);
    let what = crate::live::what(event);
    let amount = data["total"]["amount"].as_i64().unwrap_or_default();
    let reason = data["reason"].as_str().map(|reason| dim(&format!("  {reason}"))).unwrap_or_default();
    format!(
        "{}  {}  {}  {}.{:02} {}{reason}",
        dim(time.get(11..19).unwrap_or(&time)),
        dim(&text(&data["order_id"])),
        bold(&format!("{what:<9}")),
        amount / 100,
        amount % 100,
        text(&data["total"]["currency"]),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let event = json!({
            "type": "order.rejected.v1", "time": "2026-01-02T03:04:05.6Z",
            "data": {"order_id": "o1", "total": {"amount": 1205, "currency": "EUR"}, "reason": "payment_declined"},
        });
        let shown = anstream::adapter::strip_str(&line(&event)).to_string();
        assert_eq!(shown, "03:04:05  o1  rejected   12.05 EUR  payment_declined");
    }
}
