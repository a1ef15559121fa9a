//! Orders that are stored and cannot be read: each holds up itself and nobody else.

use std::{
    collections::HashSet,
    error::Error as StdError,
    sync::{Mutex, PoisonError},
};

use super::ports::Unreadable;
use crate::domain::ids::OrderId;

/// Of more orders than this it is not remembered that they were said.
const MAX_SAID: usize = 10_000;

/// Counts what cannot be read, and says it once.
#[derive(Debug, Default)]
pub struct SetAside(Mutex<HashSet<Option<OrderId>>>);

impl SetAside {
    /// An order was found that cannot be read.
    pub fn note(&self, unreadable: &Unreadable) {
        let meter = telemetry::meter();
        let counter = meter.u64_counter("order.unreadable");
        counter.with_description("Times that a stored order could not be read.").build().add(1, &[]);
        let id = unreadable.key.map(|key| key.id);
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MAX_SAID && said.insert(id) {
            drop(said);
            let (id, error) = (id.map(|id| id.to_string()).unwrap_or_default(), &unreadable.cause as &dyn StdError);
            tracing::error!(order.id = id, error, "a stored order cannot be read and is set aside");
        }
    }
}
