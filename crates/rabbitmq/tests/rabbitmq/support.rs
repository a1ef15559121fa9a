//! What several tests need.

use std::{error::Error as _, sync::Arc, time::Duration};

use messaging::{Bus, Error, Event};

pub(crate) fn event(key: impl ToString, number: u64) -> Event {
    Event::new("thing.happened.v1", "test", key, clock::system().now(), number).unwrap()
}

pub(crate) fn open(url: &str) -> Arc<dyn Bus> {
    Arc::new(rabbitmq::Bus::open(url, clock::system()).unwrap().with_lease(Duration::from_secs(2)))
}

/// An error with its causes.
pub(crate) fn said(error: &Error) -> String {
    format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
}
