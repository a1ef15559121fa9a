//! The incidents: what is broken, and what one would look at.

/// What is broken, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: what is measured then must be far from any threshold.
    Nothing,
    /// The process of payment gets the processor for 300 ms of every 2.3 s, as one whose share of it is used up.
    PaymentSlow,
    /// The broker is killed, and started again at the end.
    BrokerKilled,
    /// All processes of `PostgreSQL`, the database of user and payment, stand still.
    DatabasePaused,
    /// The connection of order's canary to its database is lost with every twentieth order.
    CanaryFailing,
    /// Order's canary does not reach payment.
    CanaryAlone,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Incident {
    /// Its name on the command line and in the marks of docs/runbook.md.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) fault: Fault,
    /// The alerts of which one could think that they fire.
    pub(crate) thinkable: &'static [&'static str],
    /// The service and the name of the span that a trace is shown of.
    pub(crate) entry: (&'static str, &'static str),
}

const PLACE: (&str, &str) = ("order", "POST /v1/orders");

/// In the order in which they are tried.
pub(crate) const ALL: [Incident; 6] = [
    Incident { name: "none", title: "Nothing is broken", fault: Fault::Nothing, thinkable: &[], entry: PLACE },
    Incident {
        name: "payment",
        title: "Payment slowed",
        fault: Fault::PaymentSlow,
        thinkable: &[
            "PlaceOrderLatencyErrorBudgetBurn",
            "PlaceOrderErrorBudgetBurn",
            "OrderDecidedErrorBudgetBurn",
            "PoolExhausted",
            "BreakerOpen",
            "DependencyAway",
            "SagasStuck",
            "ServiceDown",
        ],
        entry: PLACE,
    },
    Incident {
        name: "broker",
        title: "Broker killed",
        fault: Fault::BrokerKilled,
        thinkable: &[
            "OutboxLag",
            "EventAppliedErrorBudgetBurn",
            "ConsumerLag",
            "DependencyAway",
            "PlaceOrderErrorBudgetBurn",
            "OutboxRefused",
        ],
        entry: ("payment", "send"),
    },
    Incident {
        name: "database",
        title: "Database paused",
        fault: Fault::DatabasePaused,
        thinkable: &[
            "LoginErrorBudgetBurn",
            "PoolExhausted",
            "PlaceOrderErrorBudgetBurn",
            "PlaceOrderLatencyErrorBudgetBurn",
            "OrderDecidedErrorBudgetBurn",
            "BreakerOpen",
            "DependencyAway",
            "OutboxLag",
            "ServiceDown",
        ],
        entry: ("user", "POST /v1/sessions"),
    },
    Incident {
        name: "canary",
        title: "A canary that fails 5 %",
        fault: Fault::CanaryFailing,
        thinkable: &["CanaryFailing", "CanaryUndecided", "PlaceOrderErrorBudgetBurn"],
        entry: PLACE,
    },
    Incident {
        name: "alone",
        title: "A canary that does not reach payment",
        fault: Fault::CanaryAlone,
        thinkable: &["CanaryUndecided", "CanaryFailing", "OrderDecidedErrorBudgetBurn", "PlaceOrderErrorBudgetBurn"],
        entry: PLACE,
    },
];

impl Incident {
    pub(crate) fn needs_canary(&self) -> bool {
        matches!(self.fault, Fault::CanaryFailing | Fault::CanaryAlone)
    }
}
