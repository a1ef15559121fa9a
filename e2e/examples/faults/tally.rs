//! How requests ended, before a fault, while it stood, and after it.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use anyhow::Result;
use e2e::{Answer, customers::Asked};
use http::{StatusCode, header::RETRY_AFTER};

/// When something is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Before,
    During,
    After,
}

/// How many requests ended in which way.
pub(crate) type Requests = BTreeMap<(Phase, Asked, String), u64>;

/// Counts them.
#[derive(Default)]
pub(crate) struct Tally {
    phase: AtomicU8,
    requests: Mutex<Requests>,
}

impl Tally {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Before,
            1 => Phase::During,
            _ => Phase::After,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn note(&self, asked: Asked, answer: &Result<Answer>) {
        let how = match answer {
            Ok(answer)
                if answer.status == StatusCode::SERVICE_UNAVAILABLE && !answer.headers.contains_key(RETRY_AFTER) =>
            {
                "503 without Retry-After".to_owned()
            }
            Ok(answer) => answer.status.as_str().to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((self.phase(), asked, how)).or_default() += 1;
    }

    pub(crate) fn requests(&self) -> Requests {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
