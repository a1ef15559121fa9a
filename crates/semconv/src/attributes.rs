//! Every attribute: OpenTelemetry's (semantic conventions 1.44) where it has a name, otherwise ours.

use crate::{
    Attribute, Stability,
    Type::{Boolean, Integer, Text},
    Values::{Any, Few, OneOf},
};

/// The methods of HTTP that are known, and what others are called.
const HTTP_METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "_OTHER"];

/// What [`HTTP_REQUEST_METHOD`] says of a method: others than the known ones are made up by clients and have no bound.
pub fn http_method(method: &str) -> &'static str {
    HTTP_METHODS.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

/// The names of gRPC's status codes, by their numbers.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What [`RPC_RESPONSE_STATUS_CODE`] says of a status code of gRPC; a number that is none is `UNKNOWN`.
pub fn grpc_status(code: i32) -> &'static str {
    usize::try_from(code).ok().and_then(|code| GRPC_STATUSES.get(code)).unwrap_or(&"UNKNOWN")
}

/// Defines attributes, and the list of all.
macro_rules! attributes {
    ($($constant:ident = $name:literal, $stability:ident, $of_type:expr, $values:expr, $description:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $description)]
            pub static $constant: Attribute = Attribute {
                name: $name,
                stability: Stability::$stability,
                of_type: $of_type,
                values: $values,
                description: $description,
            };
        )*

        /// All of them.
        pub static ALL: &[&Attribute] = &[$(&$constant),*];
    };
}

attributes! {
    ERROR_TYPE = "error.type", Stable, Text, Few("timeout"), "Why it failed; absent where it did not.";
    CANARY = "canary", Own, Boolean, Any, "Whether version 2 shall handle it; absent where not.";
    OUTCOME = "outcome", Own, Text, Few("hit"), "What became of it.";
    DEPENDENCY = "dependency", Own, Text, Few("database"), "What the process works with, as a check of its readiness is called.";
    SERVER_ADDRESS = "server.address", Stable, Text, Few("payment"), "The host that is called, as it is configured.";
    SERVER_PORT = "server.port", Stable, Integer, Few("9090"), "Its port.";
    SERVICE_PEER_NAME = "service.peer.name", Development, Text, Few("payment"), "The service that is called.";
    URL_SCHEME = "url.scheme", Stable, Text, OneOf(&["http", "https"]), "The scheme of the URL.";

    HTTP_REQUEST_METHOD = "http.request.method", Stable, Text,
        OneOf(&HTTP_METHODS), "The method; `_OTHER` where it is made up.";
    HTTP_RESPONSE_STATUS_CODE = "http.response.status_code", Stable, Integer, Few("201"), "The status.";
    HTTP_ROUTE = "http.route", Stable, Text, Few("/v1/orders/{id}"), "The pattern of the path; `(no route)` where there is none.";

    RPC_SYSTEM_NAME = "rpc.system.name", Development, Text, OneOf(&["grpc"]), "The protocol.";
    RPC_METHOD = "rpc.method", Development, Text, Few("payment.v1.Payments/Authorize"), "The method; `_OTHER` where it is made up.";
    RPC_RESPONSE_STATUS_CODE = "rpc.response.status_code", Development, Text,
        OneOf(&GRPC_STATUSES), "The status.";

    GRAPHQL_OPERATION_TYPE = "graphql.operation.type", Development, Text, OneOf(&["query", "mutation", "subscription"]), "What the operation does.";
    GRAPHQL_OPERATION_NAME = "graphql.operation.name", Development, Text, Few("PlaceOrder"), "Its name; of a metric only with a safelist, because otherwise strangers choose it.";

    DB_SYSTEM_NAME = "db.system.name", Stable, Text, OneOf(&["sqlite", "postgresql", "mongodb"]), "The database.";
    DB_QUERY_SUMMARY = "db.query.summary", Stable, Text, Few("SELECT orders"), "What a statement does to which table, without its values.";
    DB_POOL_NAME = "db.client.connection.pool.name", Development, Text, Few("orders"), "The pool of connections.";
    DB_CONNECTION_STATE = "db.client.connection.state", Development, Text, OneOf(&["idle", "used"]), "Whether a connection is in use.";

    MESSAGING_SYSTEM = "messaging.system", Development, Text, OneOf(&["sqlite", "nats", "kafka", "rabbitmq"]), "The broker.";
    MESSAGING_OPERATION_NAME = "messaging.operation.name", Development, Text,
        OneOf(&["create", "send", "receive", "process", "ack", "retry", "release", "isolate", "dead_letter"]), "What is done.";
    MESSAGING_OPERATION_TYPE = "messaging.operation.type", Development, Text,
        OneOf(&["create", "send", "receive", "process", "settle"]), "What kind of thing that is.";
    MESSAGING_DESTINATION_NAME = "messaging.destination.name", Development, Text, Few("order.placed.v1"), "The type of the event.";
    MESSAGING_CONSUMER_GROUP_NAME = "messaging.consumer.group.name", Development, Text, Few("order"), "The consumer group.";
    MESSAGING_BATCH_MESSAGE_COUNT = "messaging.batch.message_count", Development, Integer, Any, "How many events at once.";
    MESSAGING_MESSAGE_ID = "messaging.message.id", Development, Text, Any, "The event's id.";
    MESSAGING_MESSAGE_KEY = "messaging.message.key", Own, Text, Any, "The event's key: its aggregate.";
    MESSAGING_MESSAGE_ATTEMPT = "messaging.message.attempt", Own, Integer, Any, "Which delivery of it this is.";

    CACHE = "cache", Own, Text, Few("product"), "The cache.";
    CACHE_LEVEL = "level", Own, Text, OneOf(&["l1", "l2", "loader"]), "What answered: the process' own memory, the store, or the loader.";
    CACHE_KEY = "cache.key", Own, Text, Any, "The key, unless it is made of a secret.";
    CACHE_HIT = "cache.hit", Own, Boolean, Any, "Whether there was a value.";

    LOCK_KEY = "lock.key", Own, Text, Any, "The lock.";
    LOCK_ACQUIRED = "lock.acquired", Own, Boolean, Any, "Whether it was got.";
    LOCK_FENCE = "lock.fence", Own, Integer, Any, "Its fencing token.";

    CPU_MODE = "cpu.mode", Development, Text, OneOf(&["user", "system"]), "Whose work it was.";
    SERVICE_VERSION = "service.version", Stable, Text, Few("0.1.0"), "The version.";
    VCS_REVISION = "vcs.ref.head.revision", Development, Text, Few("9d59409acf47"), "The commit that was built.";
    RUSTC_VERSION = "rustc.version", Own, Text, Few("1.95.0"), "The compiler.";

    USER_ID = "user.id", Development, Text, Any, "The account's id.";
    OPERATOR_ID = "operator.id", Own, Text, Any, "The operator's id.";
    LOGIN_OUTCOME = "login.outcome", Own, Text, Few("succeeded"), "What became of it.";
    AUTH_REFUSAL = "auth.refusal", Own, Text, Few("expired"), "What is wrong with the token.";
    MAIL_PURPOSE = "mail.purpose", Own, Text, OneOf(&["verify_email", "reset_password", "order_confirmed", "order_refunded", "account_closed"]), "What the mail is for.";
    MAIL_OUTCOME = "mail.outcome", Own, Text, OneOf(&["sent", "unavailable", "deferred", "refused"]), "What became of it.";

    ORDER_ID = "order.id", Own, Text, Any, "The order's id.";
    ORDER_STATUS = "order.status", Own, Text,
        OneOf(&["pending", "abandoning", "confirmed", "fulfilling", "fulfilled", "rejected", "cancelling", "cancelled",
            "refunding", "refunded"]), "The order's status.";
    ORDER_REASON = "order.reason", Own, Text, Few("payment_declined"), "Why it has it.";
    PRODUCT_ID = "product.id", Own, Text, Any, "The product's id.";
    SEARCH_INDEX = "search.index", Own, Text, OneOf(&["products", "orders"]), "What is searched or indexed.";
    STREAM_LIMIT = "limit", Own, Text, OneOf(&["account", "all"]), "Whose streams are too many.";

    PAYMENT_ID = "payment.id", Own, Text, Any, "The payment's id.";
    PAYMENT_STATUS = "payment.status", Own, Text, Few("authorized"), "The payment's status.";
    PAYMENT_REASON = "payment.reason", Own, Text, Few("declined"), "Why it has it.";
    PAYMENT_OPERATION = "payment.operation", Own, Text, Few("authorize"), "What the provider is asked.";
    CURRENCY = "currency", Own, Text, Few("EUR"), "The currency (ISO 4217).";
}
