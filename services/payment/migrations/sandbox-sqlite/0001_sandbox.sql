-- The sandbox provider's side of the world: a database of its own, as a real provider would have.

-- Every charge, and where it stands.
CREATE TABLE charges (
    reference TEXT    NOT NULL PRIMARY KEY,
    order_id  BLOB    NOT NULL CHECK (length(order_id) = 16),
    amount    INTEGER NOT NULL CHECK (amount > 0),
    currency  TEXT    NOT NULL CHECK (length(currency) = 3),
    state     TEXT    NOT NULL CHECK (state IN ('authorized', 'captured', 'voided', 'refunded'))
) STRICT, WITHOUT ROWID;

CREATE INDEX charges_order ON charges (order_id);

-- Every answer that was given, by idempotency key: the key makes each the only one.
CREATE TABLE answers (
    key            TEXT NOT NULL PRIMARY KEY,
    order_id       BLOB NOT NULL CHECK (length(order_id) = 16),
    operation      TEXT NOT NULL CHECK (operation IN ('authorize', 'capture', 'void', 'refund')),
    reference      TEXT REFERENCES charges (reference),
    decline_reason TEXT CHECK (decline_reason IN ('declined', 'insufficient_funds')),
    CHECK ((reference IS NULL) <> (decline_reason IS NULL))
) STRICT, WITHOUT ROWID;

-- Two approved answers to one operation of an order mean that somebody paid twice.
CREATE INDEX answers_approved ON answers (order_id, operation) WHERE reference IS NOT NULL;

-- How often `tok_unavailable` was refused for an order.
CREATE TABLE refusals (
    order_id BLOB    NOT NULL PRIMARY KEY CHECK (length(order_id) = 16),
    calls    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
