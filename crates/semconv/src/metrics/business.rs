//! Of accounts, orders and payments.

use opentelemetry::metrics::{Counter, Gauge, Histogram, ObservableGauge};

use super::{LONG, NONE, SECONDS, metrics};
use crate::{Definition, Instrument as _, Metric, Observable as _, Stability, attributes};

metrics! { BUSINESS;
    in "services/user" {
        USER_MAIL: Counter<u64> = "user.mail", Own, "{mail}", NONE, "Mails by what became of them.", [MAIL_PURPOSE, MAIL_OUTCOME];
        USER_SIGNING_KEY_REMAINING: ObservableGauge<f64> = "user.signing_key.remaining", Own, "s", NONE, "Until the youngest signing key should have a successor in use.", [];
        USER_LOGINS: Counter<u64> = "user.logins", Own, "{login}", NONE, "Logins by what became of them.", [LOGIN_OUTCOME];
    }
    in "crates/auth" {
        AUTH_TOKEN_REFUSALS: Counter<u64> = "auth.token.refusals", Own, "{token}", NONE, "Access tokens that were refused, by what was wrong with them.", [AUTH_REFUSAL];
    }
    in "services/order" {
        ORDER_UNREADABLE: Counter<u64> = "order.unreadable", Own, "{row}", NONE, "Times that a stored order or product could not be read.", [];
        ORDER_STATUS_CHANGES: Counter<u64> = "order.status.changes", Own, "{order}", NONE, "Orders by the status that they came to.", [ORDER_STATUS, ORDER_REASON];
        ORDER_DECISION_DURATION: Histogram<f64> = "order.decision.duration", Own, "s", LONG, "From placing an order until it was confirmed, rejected or cancelled.", [];
        ORDER_SAGAS_OPEN: Gauge<u64> = "order.sagas.open", Own, "{order}", NONE, "Orders whose saga is under way.", [ORDER_STATUS];
        ORDER_SAGAS_OLDEST_AGE: Gauge<f64> = "order.sagas.oldest.age", Own, "s", NONE, "Age of the oldest saga that is under way.", [];
        ORDER_SEARCH_FAILURES: Counter<u64> = "order.search.failures", Own, "{search}", NONE, "Searches that the search server did not answer.", [SEARCH_INDEX];
        ORDER_STOCK_REFUSALS: Counter<u64> = "order.stock.refusals", Own, "{order}", NONE, "Orders refused because too little was in stock.", [];
    }
    in "services/payment" {
        PAYMENT_OUTCOMES: Counter<u64> = "payment.outcomes", Own, "{payment}", NONE, "Payments by the status that they came to.", [PAYMENT_STATUS, PAYMENT_REASON];
        PAYMENT_PROVIDER_DURATION: Histogram<f64> = "payment.provider.duration", Own, "s", SECONDS, "How long the provider took.", [PAYMENT_OPERATION, ERROR_TYPE];
        PAYMENT_PROVIDER_DISCREPANCIES: Gauge<u64> = "payment.provider.discrepancies", Own, "{order}", NONE, "Orders whose payment, ledger and charges at the provider do not agree: 0.", [];
        PAYMENT_LEDGER_IMBALANCE: Gauge<u64> = "payment.ledger.imbalance", Own, "{minor_unit}", NONE, "What the ledger's entries sum to, without sign: 0.", [CURRENCY];
    }
}
