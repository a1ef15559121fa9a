//! The request that an order comes from: its context is stored with the order,
//! so that later work for the order is linked to it and goes on under its canary mark.

use telemetry::Carrier;

use crate::domain::order::Origin;

/// The context of the running request.
pub(super) fn current() -> Origin {
    let carrier = Carrier::current();
    Origin { traceparent: carrier.traceparent, tracestate: carrier.tracestate, canary: carrier.canary }
}

/// What causes later work for an order of that origin.
pub(super) fn carrier(origin: &Origin) -> Carrier {
    Carrier { traceparent: origin.traceparent.clone(), tracestate: origin.tracestate.clone(), canary: origin.canary }
}
