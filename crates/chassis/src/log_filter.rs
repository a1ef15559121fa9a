//! `/log-filter` of the admin port, and SIGUSR1: other lines for a while, without a restart.
//!
//! A change ends by itself: whoever looks for a fault at night and goes to bed does not fill the disk.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{Json, Router, routing::get};
use error::Error;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{http::Payload, json};

/// How long a change holds where nothing is said, and how long it may hold.
const DEFAULT: Duration = Duration::from_mins(10);
const MAX: Duration = Duration::from_hours(24);
/// What SIGUSR1 writes.
const VERBOSE: &str = "debug";
/// The longest filter, in bytes.
const MAX_FILTER: usize = 1024;

/// When the current change ends; the lines are the process', and so is this.
static UNTIL: LazyLock<watch::Sender<Option<Instant>>> = LazyLock::new(|| watch::Sender::new(None));

/// The route that shows and changes which lines are written. Put a check of who asks in front of it.
pub fn log_filter() -> Router {
    Router::new().route("/log-filter", get(async || Json(shown())).put(change).delete(restore))
}

fn shown() -> Value {
    let left = UNTIL.borrow().map(|until| until.saturating_duration_since(Instant::now()).as_secs());
    json!({ "filter": telemetry::log_filter(), "ends_in_seconds": left })
}

async fn change(payload: Payload) -> Result<Json<Value>, Error> {
    let text = |text: &str| if text.len() <= MAX_FILTER { Ok(text.to_owned()) } else { Err("is too long") };
    let seconds = |seconds: i64| {
        let time = u64::try_from(seconds).map(Duration::from_secs).ok();
        time.filter(|time| !time.is_zero() && *time <= MAX).ok_or_else(|| format!("must be 1 to {}", MAX.as_secs()))
    };
    let (filter, time) = payload.at_most(4 * MAX_FILTER).json().await?.read(|body| {
        let filter = body.required("filter", json::text(text));
        let time = body.optional("seconds", json::integer(seconds));
        Some((filter?, time?))
    })?;
    set(&filter, time.unwrap_or(DEFAULT)).map_err(|error| Error::invalid_field("/filter", error.to_string()))?;
    Ok(Json(shown()))
}

async fn restore() -> Result<StatusCode, Error> {
    UNTIL.send_replace(None);
    reset().map_err(Error::internal)?;
    Ok(StatusCode::NO_CONTENT)
}

fn set(filter: &str, time: Duration) -> Result<(), telemetry::Error> {
    telemetry::set_log_filter(Some(filter))?;
    UNTIL.send_replace(Some(Instant::now() + time));
    tracing::warn!(filter, seconds = time.as_secs(), "other lines for a while");
    Ok(())
}

fn reset() -> Result<(), telemetry::Error> {
    telemetry::set_log_filter(None)?;
    tracing::warn!("lines as configured again");
    Ok(())
}

/// Ends a change when its time has come; SIGUSR1 makes one, and ends the one there is.
pub(crate) async fn keep(stop: CancellationToken) -> Result<()> {
    let mut toggle = signal(SignalKind::user_defined1())?;
    let mut changes = UNTIL.subscribe();
    loop {
        let until = *changes.borrow_and_update();
        let ended = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        let done = tokio::select! {
            // A change that comes in the moment in which another ends is not ended with it.
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = changes.changed() => Ok(()),
            Some(()) = toggle.recv() => if until.is_none() { set(VERBOSE, DEFAULT) } else { end() },
            () = ended => end(),
        };
        if let Err(error) = done {
            tracing::warn!(error = &error as &dyn std::error::Error, "the lines are as they were");
        }
    }
}

fn end() -> Result<(), telemetry::Error> {
    UNTIL.send_replace(None);
    reset()
}
