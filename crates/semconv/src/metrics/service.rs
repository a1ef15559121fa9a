//! Of requests, calls and events.

use opentelemetry::metrics::{Counter, Gauge, Histogram, ObservableGauge, UpDownCounter};

use super::{LONG, NONE, SECONDS, SHORT, metrics};
use crate::{Definition, Instrument as _, Metric, Observable as _, Stability, attributes};

metrics! { SERVICE;
    in "crates/chassis" {
        HTTP_SERVER_REQUEST_DURATION: Histogram<f64> = "http.server.request.duration", Stable, "s", SECONDS,
            "How long requests took.", [HTTP_REQUEST_METHOD, HTTP_ROUTE, HTTP_RESPONSE_STATUS_CODE, URL_SCHEME, ERROR_TYPE];
        HTTP_SERVER_ACTIVE_REQUESTS: UpDownCounter<i64> = "http.server.active_requests", Development, "{request}", NONE,
            "Requests that are being answered.", [HTTP_REQUEST_METHOD, URL_SCHEME];
        RPC_SERVER_CALL_DURATION: Histogram<f64> = "rpc.server.call.duration", Development, "s", SECONDS,
            "How long incoming calls took.", [RPC_SYSTEM_NAME, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, ERROR_TYPE];
        DEPENDENCY_UP: Gauge<u64> = "dependency.up", Own, "", NONE,
            "1 while what the process works with can be used, as readiness has it.", [DEPENDENCY];
    }
    in "services/order" {
        GRAPHQL_SERVER_OPERATION_DURATION: Histogram<f64> = "graphql.server.operation.duration", Own, "s", SECONDS,
            "How long queries and mutations took.", [GRAPHQL_OPERATION_TYPE, GRAPHQL_OPERATION_NAME, ERROR_TYPE];
    }
    in "crates/client" {
        HTTP_CLIENT_REQUEST_DURATION: Histogram<f64> = "http.client.request.duration", Stable, "s", SECONDS,
            "How long requests to others took, each attempt by itself.",
            [HTTP_REQUEST_METHOD, SERVER_ADDRESS, SERVER_PORT, HTTP_RESPONSE_STATUS_CODE, ERROR_TYPE];
        RPC_CLIENT_CALL_DURATION: Histogram<f64> = "rpc.client.call.duration", Development, "s", SECONDS,
            "How long calls to others took, each attempt by itself.",
            [RPC_SYSTEM_NAME, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT, ERROR_TYPE];
        CLIENT_BREAKER_OPEN: ObservableGauge<u64> = "client.breaker.open", Own, "", NONE,
            "1 while the circuit breaker is open, so that the callee is not called.", [SERVICE_PEER_NAME];
    }
    in "crates/messaging" {
        MESSAGING_CLIENT_OPERATION_DURATION: Histogram<f64> = "messaging.client.operation.duration", Development, "s", SHORT,
            "How long calls to the broker took; of `receive` those that brought something or failed, waiting included, and what failed of joining the group.", [MESSAGING_SYSTEM, MESSAGING_OPERATION_NAME, MESSAGING_CONSUMER_GROUP_NAME, ERROR_TYPE];
        MESSAGING_CLIENT_SENT_MESSAGES: Counter<u64> = "messaging.client.sent.messages", Development, "{message}", NONE,
            "Events published from the outbox.", [MESSAGING_SYSTEM, MESSAGING_OPERATION_NAME, MESSAGING_DESTINATION_NAME];
        MESSAGING_CLIENT_CONSUMED_MESSAGES: Counter<u64> = "messaging.client.consumed.messages", Development, "{message}", NONE,
            "Deliveries by what became of them.", [MESSAGING_SYSTEM, MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME, OUTCOME];
        MESSAGING_PROCESS_DURATION: Histogram<f64> = "messaging.process.duration", Development, "s", SHORT,
            "How long handling an event took.", [MESSAGING_SYSTEM, MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME];
        MESSAGING_PROCESS_DELAY: Histogram<f64> = "messaging.process.delay", Own, "s", LONG,
            "From when an event happened until it was applied.", [MESSAGING_SYSTEM, MESSAGING_CONSUMER_GROUP_NAME];
        MESSAGING_CONSUMER_DEAD_LETTERS: Counter<u64> = "messaging.consumer.dead_letters", Own, "{message}", NONE,
            "Events that the group gave up.", [MESSAGING_SYSTEM, MESSAGING_CONSUMER_GROUP_NAME];
        MESSAGING_CONSUMER_UNREADABLE: Counter<u64> = "messaging.consumer.unreadable", Own, "{message}", NONE,
            "Messages on the bus that are no events and were skipped.", [MESSAGING_SYSTEM];
        MESSAGING_CONSUMER_WAITING: Gauge<u64> = "messaging.consumer.waiting", Own, "{message}", NONE,
            "Events that wait for the group or are in its hands.", [MESSAGING_SYSTEM, MESSAGING_CONSUMER_GROUP_NAME];
        MESSAGING_CONSUMER_DEAD: Gauge<u64> = "messaging.consumer.dead", Own, "{message}", NONE,
            "Dead letters of the group that nobody has replayed.", [MESSAGING_SYSTEM, MESSAGING_CONSUMER_GROUP_NAME];
        MESSAGING_OUTBOX_WAITING: Gauge<u64> = "messaging.outbox.waiting", Own, "{message}", NONE, "Events in the outbox.", [MESSAGING_SYSTEM];
        MESSAGING_OUTBOX_OLDEST_AGE: Gauge<f64> = "messaging.outbox.oldest.age", Own, "s", NONE, "Age of the oldest event in the outbox.", [MESSAGING_SYSTEM];
        MESSAGING_OUTBOX_DEAD: Gauge<u64> = "messaging.outbox.dead", Own, "{message}", NONE, "Events in the outbox that the bus refused for good.", [MESSAGING_SYSTEM];
    }
    in "services/order/src/app/live" {
        ORDER_STREAM_OPEN: UpDownCounter<i64> = "order.stream.open", Own, "{stream}", NONE, "Open streams of live events.", [];
        ORDER_STREAM_REFUSED: Counter<u64> = "order.stream.refused", Own, "{stream}", NONE,
            "Streams that were refused, because there were too many.", [STREAM_LIMIT];
        ORDER_STREAM_TOO_SLOW: Counter<u64> = "order.stream.too_slow", Own, "{stream}", NONE,
            "Streams that were ended, because their clients took too little.", [];
        ORDER_STREAM_RESUMED: Counter<u64> = "order.stream.resumed", Own, "{stream}", NONE,
            "Streams that went on after a cursor, or had to begin anew.", [OUTCOME];
        ORDER_STREAM_LAG: Histogram<f64> = "order.stream.lag", Own, "s", LONG,
            "From when it happened until those who watch are sent it.", [];
    }
}
