//! The contract of a [`Limiter`](crate::Limiter), as cases that each adapter has to pass; [`suite!`](crate::suite!) lists them.
//!
//! The cases use keys of their own, so that they may share one server, and times short enough to be real.
// This is test code that other crates' tests call; a failed expectation has to panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod permits;

/// The cases of a limiter's contract, for `testkit::suite!`.
#[macro_export]
macro_rules! suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            permits {
                a_burst_is_allowed_and_no_more, at_once_no_more_than_the_burst, keys_are_counted_apart,
                permits_come_back_one_by_one, what_is_given_back_is_there, a_reset_key_is_as_new,
            }
        }
    };
}
