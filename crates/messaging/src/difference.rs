//! What not every broker can keep of the contract of [`Bus`](crate::Bus).

use std::fmt;

/// A named difference of a broker: what it cannot keep of the contract, and its README says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The broker itself counts deliveries, so what one member has read and given back untried counts for the next.
    ReadAheadCounts,
    /// Events that are marked for the canary are a partition of their own, so a key's marked and unmarked events are not
    /// in order with each other.
    MarksAreApart,
    /// Of all that was in the hands of a member that died, each counts as what it may have died of.
    BlamesWhatWasInHand,
    /// The broker alone decides which member has which events: a member that drains keeps them from others until it is done,
    /// and so does one with what it does not handle.
    BrokerAssigns,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadAheadCounts => "what was read ahead counts",
            Self::MarksAreApart => "marked events are in order apart",
            Self::BlamesWhatWasInHand => "what was in hand is blamed",
            Self::BrokerAssigns => "the broker assigns",
        })
    }
}
