#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod backoff;
mod breaker;
mod last_failure;
mod outage;

pub use self::{
    backoff::Backoff,
    breaker::{Breaker, BreakerConfig, Open, Permit, State},
    last_failure::{Failed, LastFailure},
    outage::Outage,
};
