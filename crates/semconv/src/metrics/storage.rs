//! Of databases, caches and locks.

use opentelemetry::metrics::{Counter, Histogram, ObservableGauge, ObservableUpDownCounter, UpDownCounter};

use super::{LONG, NONE, SHORT, metrics};
use crate::{Definition, Instrument as _, Metric, Observable as _, Stability, attributes};

metrics! { STORAGE;
    in "crates/sql and crates/mongodb" {
        DB_CLIENT_OPERATION_DURATION: Histogram<f64> = "db.client.operation.duration", Stable, "s", SHORT,
            "How long statements and commands took.", [DB_SYSTEM_NAME, DB_QUERY_SUMMARY, ERROR_TYPE];
        DB_CLIENT_CONNECTION_COUNT: ObservableUpDownCounter<i64> = "db.client.connection.count", Development, "{connection}", NONE,
            "Connections of a pool.", [DB_POOL_NAME, DB_CONNECTION_STATE];
        DB_CLIENT_CONNECTION_MAX: ObservableUpDownCounter<i64> = "db.client.connection.max", Development, "{connection}", NONE,
            "How many connections a pool may have.", [DB_POOL_NAME];
        DB_CLIENT_CONNECTION_PENDING_REQUESTS: UpDownCounter<i64> = "db.client.connection.pending_requests", Development, "{request}", NONE,
            "Who waits for a connection.", [DB_POOL_NAME];
        DB_CLIENT_CONNECTION_TIMEOUTS: Counter<u64> = "db.client.connection.timeouts", Development, "{timeout}", NONE,
            "How often no connection was free in time.", [DB_POOL_NAME];
    }
    in "crates/cache" {
        CACHE_REQUESTS: Counter<u64> = "cache.requests", Own, "{request}", NONE, "Requests by how they were answered.", [CACHE, CACHE_LEVEL, OUTCOME];
        CACHE_LOAD_DURATION: Histogram<f64> = "cache.load.duration", Own, "s", SHORT, "How long loads took.", [CACHE];
        CACHE_FILL_REFUSED: Counter<u64> = "cache.fill.refused", Own, "{value}", NONE, "Loaded values not stored because they may be stale.", [CACHE];
        CACHE_ERRORS: Counter<u64> = "cache.errors", Own, "{call}", NONE, "Calls that the store did not answer.", [CACHE];
        CACHE_UNREADABLE: Counter<u64> = "cache.unreadable", Own, "{value}", NONE, "Values of another wire version or schema.", [CACHE];
    }
    in "crates/redis" {
        CACHE_BACKPLANE_RECEIVED: Counter<u64> = "cache.backplane.received", Own, "{notification}", NONE, "Notifications of writes by other processes.", [];
        CACHE_BACKPLANE_BROKEN: Counter<u64> = "cache.backplane.broken", Own, "{disconnection}", NONE,
            "Disconnections, in which notifications may be missed.", [];
        CACHE_BACKPLANE_SENT: Counter<u64> = "cache.backplane.sent", Own, "{notification}", NONE, "Writes that the other processes were notified of.", [];
        CACHE_BACKPLANE_LAG: Histogram<f64> = "cache.backplane.lag", Own, "s", SHORT, "From a write to its notification, by the server's clock.", [];
        CACHE_BREAKER_STATE: ObservableGauge<u64> = "cache.breaker.state", Own, "", NONE, "1 while the circuit breaker of Redis is open.", [];
        CACHE_QUARANTINE: ObservableGauge<u64> = "cache.quarantine", Own, "", NONE, "1 while values from before an outage are not trusted.", [];
        CACHE_JOURNAL: ObservableGauge<u64> = "cache.journal", Own, "{write}", NONE, "Writes that Redis does not know of yet.", [];
    }
    in "crates/lock" {
        LOCK_ACQUIRE_DURATION: Histogram<f64> = "lock.acquire.duration", Own, "s", SHORT, "From asking for a lock to the answer.", [OUTCOME];
        LOCK_HOLD_DURATION: Histogram<f64> = "lock.hold.duration", Own, "s", LONG, "How long locks were held.", [];
        LOCK_WAITING: UpDownCounter<i64> = "lock.waiting", Own, "{caller}", NONE, "Callers that wait for a lock.", [];
        LOCK_RENEW_FAILURES: Counter<u64> = "lock.renew.failures", Own, "{renewal}", NONE, "Renewals without an answer.", [];
        LOCK_LOST: Counter<u64> = "lock.lost", Own, "{lock}", NONE, "Locks lost while held.", [];
        LOCK_FENCE_REJECTED: Counter<u64> = "lock.fence.rejected", Own, "{write}", NONE, "Writes refused because their fence was overtaken.", [];
    }
}
