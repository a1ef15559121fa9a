#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod backoff;
mod breaker;
mod outage;

pub use self::{
    backoff::Backoff,
    breaker::{Breaker, BreakerConfig, Open, Permit, State},
    outage::Outage,
};
