//! Waiting for a condition, with a deadline.

use std::fmt::Debug;
use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

/// The pause before a condition that did not hold is evaluated again.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until an expression holds and gives its value; fails the test when it does not within 10 s, or within the
/// time given.
///
/// The expression is a `bool`, an `Option` or a `Result`, may await, and is evaluated again and again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
///
/// async fn look() -> Option<u32> { Some(7) }
/// let found = testkit::eventually!(within Duration::from_secs(1), look().await);
/// assert_eq!(found, 7);
/// # }
/// ```
#[macro_export]
macro_rules! eventually {
    (within $deadline:expr, $check:expr $(,)?) => {{
        let deadline = $crate::Deadline::new($deadline, stringify!($check));
        loop {
            match $crate::Outcome::outcome($check) {
                Ok(value) => break value,
                Err(instead) => deadline.pause(&instead).await,
            }
        }
    }};
    ($check:expr $(,)?) => {
        $crate::eventually!(within::std::time::Duration::from_secs(10), $check)
    };
}

/// What [`eventually!`](crate::eventually) can wait for.
pub trait Outcome {
    /// What it gives in the end.
    type Value;

    /// Returns the value, or what there is instead, for the message.
    ///
    /// # Errors
    ///
    /// When the condition does not hold yet.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();

    fn outcome(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "None".to_owned())
    }
}

impl<T, E: Debug> Outcome for Result<T, E> {
    type Value = T;

    fn outcome(self) -> Result<T, String> {
        self.map_err(|error| format!("Err({error:?})"))
    }
}

/// The deadline of one [`eventually!`](crate::eventually).
#[derive(Debug)]
pub struct Deadline {
    condition: &'static str,
    location: &'static Location<'static>,
    started: Instant,
    limit: Duration,
}

impl Deadline {
    /// Starts to wait for `condition`, for at most `limit`.
    #[track_caller]
    pub fn new(limit: Duration, condition: &'static str) -> Self {
        Self { condition, location: Location::caller(), started: Instant::now(), limit }
    }

    /// Waits a moment before the next evaluation.
    ///
    /// # Panics
    ///
    /// When the deadline has passed: that is the test's failure.
    pub async fn pause(&self, instead: &str) {
        let (location, limit, condition) = (self.location, self.limit, self.condition);
        let in_time = self.started.elapsed() < limit;
        assert!(in_time, "{location}: not within {limit:?}: `{condition}` was still {instead}");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn it_waits_for_the_value() {
        let evaluations = Cell::new(0);
        let value = crate::eventually!({
            evaluations.set(evaluations.get() + 1);
            (evaluations.get() > 2).then_some("here")
        });
        assert_eq!((value, evaluations.get()), ("here", 3));
        crate::eventually!(Ok::<(), String>(()));
    }

    #[tokio::test]
    #[should_panic(expected = "not within 20ms: `false` was still false")]
    async fn it_fails_at_the_deadline() {
        crate::eventually!(within Duration::from_millis(20), false);
    }
}
