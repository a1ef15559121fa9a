//! How many requests are worked on at once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// That long nobody may come to an end before it is reported.
const NOTEWORTHY: Duration = Duration::from_secs(1);

/// The requests that are worked on, over both protocols.
#[derive(Debug)]
pub(crate) struct InFlight {
    most: usize,
    permits: Semaphore,
    /// When the last place was taken.
    full_since: Mutex<Option<Instant>>,
}

impl InFlight {
    /// None yet.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, permits: Semaphore::new(most), full_since: Mutex::default() })
    }

    /// Takes a place until the answer is there, where there is one.
    pub(crate) fn admit(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.permits.try_acquire().ok()?;
        if self.permits.available_permits() == 0 {
            *self.full_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Some(permit)
    }

    /// Says that all places have been taken for a while by the same requests: whoever comes is refused.
    ///
    /// Where requests come to their ends some are answered, however many are refused beside: a process that sheds load
    /// stays ready, or the others would have its share as well.
    pub(crate) fn check(&self) -> Result<(), String> {
        let full_since = *self.full_since.lock().unwrap_or_else(PoisonError::into_inner);
        let stands_still = full_since.is_some_and(|since| since.elapsed() >= NOTEWORTHY);
        if stands_still && self.permits.available_permits() == 0 {
            return Err(format!("all of {} requests are at work", self.most));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_who_stands_still_is_not_ready() {
        let in_flight = InFlight::new(2);
        let (first, second) = (in_flight.admit().unwrap(), in_flight.admit());
        assert!(second.is_some() && in_flight.admit().is_none());
        assert_eq!(in_flight.check(), Ok(()), "a moment is no matter");
        tokio::time::advance(NOTEWORTHY).await;
        assert_eq!(in_flight.check(), Err("all of 2 requests are at work".to_owned()));
        drop(first);
        assert_eq!(in_flight.check(), Ok(()), "there is a place");
        let again = in_flight.admit();
        assert!(again.is_some() && in_flight.admit().is_none());
        assert_eq!(in_flight.check(), Ok(()), "and another one in it");
    }
}
