//! What is stored and cannot be read: it holds up itself and nothing else.

use std::{
    collections::HashSet,
    error::Error as StdError,
    sync::{LazyLock, Mutex, PoisonError},
};

/// Of more than this it is not remembered that they were said.
const MAX_SAID: usize = 10_000;

static SAID: LazyLock<Mutex<HashSet<(&'static str, String)>>> = LazyLock::new(Mutex::default);

/// Says once in a process's life that something cannot be read and is left out.
pub fn note(what: &'static str, key: &str, error: &(dyn StdError + 'static)) {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() < MAX_SAID && said.insert((what, key.to_owned())) {
        drop(said);
        tracing::error!(what, key, error, "what is stored cannot be read and is left out");
    }
}
