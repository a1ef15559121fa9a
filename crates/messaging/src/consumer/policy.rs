//! How a consumer treats its events.

use std::time::Duration;

use resilience::Backoff;

/// Limits of a consumer.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Handlers at work at the same time, each with another key.
    pub max_in_flight: usize,
    /// How long a handler may take.
    pub timeout: Duration,
    /// Failures of an event before it goes to the dead letters, and deliveries before it is suspected of killing members.
    pub max_attempts: u32,
    /// The pause after the first failure; doubles with each.
    pub first_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// How long handlers may go on when the process ends.
    pub drain: Duration,
}

impl Policy {
    /// For [tasks](crate::Event::task), which ask somebody outside to do something: 8 at once, 30 s each, 30 attempts with
    /// pauses from 1 s to a minute (about 20 min in all), 10 s to drain.
    ///
    /// No pause is longer than [`clock::HORIZON`], beyond which an instant counts as one of a clock that was wrong.
    pub fn tasks() -> Self {
        Self {
            max_in_flight: 8,
            timeout: Duration::from_secs(30),
            max_attempts: 30,
            first_backoff: Duration::from_secs(1),
            max_backoff: clock::HORIZON,
            ..Self::default()
        }
    }

    /// The pauses between the tries of an event.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.first_backoff, self.max_backoff)
    }
}

impl Default for Policy {
    /// 64 at once, 10 s each, 20 attempts with pauses from 50 ms to 5 s (about a minute in all), 10 s to drain.
    fn default() -> Self {
        Self {
            max_in_flight: 64,
            timeout: Duration::from_secs(10),
            max_attempts: 20,
            first_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        }
    }
}
