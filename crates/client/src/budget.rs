//! A token bucket that bounds retries to a fraction of the calls made.
//!
//! After Finagle's `RetryBudget` and gRPC's retry throttling (gRFC A6): each call deposits a fraction of a token,
//! each retry withdraws one.

use std::sync::Mutex;

/// Tokens kept at most and at the start: a burst of this many retries is always possible.
const RESERVE: f64 = 10.0;

#[derive(Debug)]
pub(crate) struct Budget {
    per_call: f64,
    tokens: Mutex<f64>,
}

impl Budget {
    pub(crate) fn new(per_call: f64) -> Self {
        Self { per_call: per_call.max(0.0), tokens: Mutex::new(RESERVE) }
    }

    /// A call is made.
    pub(crate) fn deposit(&self) {
        self.change(|tokens| Some((tokens + self.per_call).min(RESERVE)));
    }

    /// Asks for one retry.
    pub(crate) fn withdraw(&self) -> bool {
        self.change(|tokens| (tokens >= 1.0).then_some(tokens - 1.0))
    }

    fn change(&self, to: impl FnOnce(f64) -> Option<f64>) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = to(*tokens);
        *tokens = changed.unwrap_or(*tokens);
        changed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_fraction_of_the_calls() {
        let budget = Budget::new(0.25);
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 10, "the reserve");
        for _ in 0..40 {
            budget.deposit();
        }
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 10);
        budget.deposit();
        assert!(!budget.withdraw(), "one call does not buy a retry");
    }

    #[test]
    fn tokens_do_not_pile_up() {
        let budget = Budget::new(1.0);
        for _ in 0..1000 {
            budget.deposit();
        }
        assert_eq!((0..1000).filter(|_| budget.withdraw()).count(), 10);
    }
}
