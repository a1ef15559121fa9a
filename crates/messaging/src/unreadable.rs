//! What is on the bus and is no event.

use std::{error::Error as StdError, sync::LazyLock};

use opentelemetry::metrics::Counter;
use semconv::{attributes, metrics};

use crate::{Error, Position};

static UNREADABLE: LazyLock<Counter<u64>> = LazyLock::new(|| metrics::MESSAGING_CONSUMER_UNREADABLE.instrument());

/// Counts and logs a message that is no event. Whoever reads passes it: it would hold up all behind it for ever.
pub fn unreadable(system: &'static str, position: Position, error: &Error) {
    UNREADABLE.add(1, &[attributes::MESSAGING_SYSTEM.of(system)]);
    let Position { partition, offset } = position;
    tracing::error!(
        partition,
        offset,
        error = error as &dyn StdError,
        "a message on the bus is no event: it is skipped"
    );
}

/// Makes it known before there is one: the first is a rise.
pub(crate) fn none_yet(system: &'static str) {
    UNREADABLE.add(0, &[attributes::MESSAGING_SYSTEM.of(system)]);
}
