//! What is stored and cannot be read: it holds up itself and nothing else.

use std::{
    collections::HashSet,
    error::Error as StdError,
    sync::{Mutex, PoisonError},
};

use semconv::metrics;

use super::ports::{Listed, Row, StoreError, Unreadable};

/// Of more than this it is not remembered that they were said.
const MAX_SAID: usize = 10_000;

/// Counts what cannot be read, and says it once.
#[derive(Debug)]
pub struct SetAside(Mutex<HashSet<(&'static str, String)>>);

impl Default for SetAside {
    fn default() -> Self {
        // Known from the beginning: the first one is a rise, which an alert sees.
        metrics::ORDER_UNREADABLE.instrument().add(0, &[]);
        Self(Mutex::default())
    }
}

impl SetAside {
    /// Something was found that cannot be read.
    pub fn note<T: Listed>(&self, unreadable: &Unreadable<T::Key>) {
        metrics::ORDER_UNREADABLE.instrument().add(1, &[]);
        let (what, key) = (T::NAME, unreadable.key.as_ref().map(ToString::to_string).unwrap_or_default());
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MAX_SAID && said.insert((what, key.clone())) {
            drop(said);
            let error: &dyn StdError = &unreadable.cause;
            tracing::error!(what, key, error, "what is stored cannot be read and is set aside");
        }
    }

    /// Lists at most `limit`, beginning after `after`, without those that cannot be read.
    ///
    /// # Errors
    /// `list` fails, which is given the key after which to go on and how many are missing.
    pub async fn list<T: Listed, F>(
        &self,
        limit: u32,
        mut after: Option<T::Key>,
        list: impl Fn(Option<T::Key>, u32) -> F,
    ) -> Result<Vec<T>, StoreError>
    where
        F: Future<Output = Result<Vec<Row<T>>, StoreError>>,
    {
        let mut found = Vec::new();
        loop {
            let missing = limit - u32::try_from(found.len()).unwrap_or(limit);
            let rows = list(after, missing).await?;
            let is_last = rows.len() < missing as usize;
            after = None;
            for row in rows {
                after = match row {
                    Ok(readable) => {
                        let key = readable.key();
                        found.push(readable);
                        Some(key)
                    }
                    Err(unreadable) => {
                        self.note::<T>(&unreadable);
                        unreadable.key
                    }
                };
            }
            // Those that were left out have others in their places, which come after the last one.
            if is_last || after.is_none() || found.len() == limit as usize {
                return Ok(found);
            }
        }
    }
}
