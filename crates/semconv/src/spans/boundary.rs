//! Requests, calls and events: where a process meets others.

use super::spans;
use crate::{Span, SpanKind, Stability, attributes};

spans! {
    in "crates/chassis" {
        "{http.request.method} {http.route}", Stable, Server, "A request. Under the caller's span, whatever it is.",
            [HTTP_REQUEST_METHOD, HTTP_ROUTE, HTTP_RESPONSE_STATUS_CODE, URL_SCHEME, CANARY, ERROR_TYPE];
        "{rpc.method}", Development, Server, "A call that came in. Under the caller's span.",
            [RPC_SYSTEM_NAME, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, CANARY, ERROR_TYPE];
    }
    in "services/order" {
        "{graphql.operation.type}", Development, Internal, "An operation. Under its request.",
            [GRAPHQL_OPERATION_TYPE, GRAPHQL_OPERATION_NAME, ERROR_TYPE];
    }
    in "crates/client" {
        "{http.request.method} {service.peer.name}", Stable, Client, "A request to another: each attempt by itself.",
            [HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT, SERVICE_PEER_NAME, ERROR_TYPE];
        "{rpc.method}", Development, Client, "A call of another: each attempt by itself.",
            [RPC_SYSTEM_NAME, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT, SERVICE_PEER_NAME, ERROR_TYPE];
    }
    in "crates/sql and crates/mongodb" {
        "{db.query.summary}", Stable, Client,
            "A statement or a command. Under the work that it is part of; what polls has none.",
            [DB_SYSTEM_NAME, DB_QUERY_SUMMARY, ERROR_TYPE];
    }
    in "crates/messaging" {
        "send", Development, Producer,
            "A batch from the outbox is published: a trace of its own, linked to the spans that recorded the events.",
            [MESSAGING_SYSTEM, MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE, MESSAGING_BATCH_MESSAGE_COUNT, ERROR_TYPE];
        "process {messaging.destination.name}", Development, Consumer, "An event is handled. Under the span that recorded it.",
            [MESSAGING_SYSTEM, MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE, MESSAGING_DESTINATION_NAME,
                MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_MESSAGE_ID, MESSAGING_MESSAGE_KEY, MESSAGING_MESSAGE_ATTEMPT, CANARY];
        "{messaging.operation.name} {messaging.destination.name}", Development, Client,
            "What became of an event is said to the broker: ack, retry, release, isolate, dead_letter. Under its processing.",
            [MESSAGING_SYSTEM, MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE, MESSAGING_DESTINATION_NAME,
                MESSAGING_CONSUMER_GROUP_NAME];
    }
    in "crates/cache" {
        "redis.get", Own, Internal, "A value is read that the process does not have, from the store or by loading it.", [CACHE_KEY, CACHE_HIT];
        "redis.set", Own, Internal, "A value is written.", [CACHE_KEY];
        "redis.delete", Own, Internal, "A value is invalidated.", [CACHE_KEY];
        "cache.load", Own, Internal, "The loader is asked. Under redis.get.", [];
    }
    in "crates/lock" {
        "lock.acquire", Own, Internal, "A lock is asked for.", [LOCK_KEY, LOCK_ACQUIRED, LOCK_FENCE];
        "lock.release", Own, Internal, "A lock is given back.", [LOCK_KEY];
    }
}
