-- Answers and counts of calls are forgotten after a while; `at` is in unix seconds. A column that is added can have no default
-- that is a function, which older programs need.
CREATE TABLE answers_with_time (
    key            TEXT    NOT NULL PRIMARY KEY,
    order_id       BLOB    NOT NULL CHECK (length(order_id) = 16),
    operation      TEXT    NOT NULL CHECK (operation IN ('authorize', 'capture', 'void', 'refund')),
    reference      TEXT    REFERENCES charges (reference),
    decline_reason TEXT    CHECK (decline_reason IN ('declined', 'insufficient_funds', 'revoked')),
    at             INTEGER NOT NULL DEFAULT (unixepoch()),
    CHECK ((reference IS NULL) <> (decline_reason IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO answers_with_time (key, order_id, operation, reference, decline_reason)
    SELECT key, order_id, operation, reference, decline_reason FROM answers;
DROP TABLE answers;
ALTER TABLE answers_with_time RENAME TO answers;

-- Two approved answers to one operation of an order mean that somebody paid twice.
CREATE INDEX answers_approved ON answers (order_id, operation) WHERE reference IS NOT NULL;
CREATE INDEX answers_at ON answers (at);

CREATE TABLE refusals_with_time (
    order_id BLOB    NOT NULL PRIMARY KEY CHECK (length(order_id) = 16),
    calls    INTEGER NOT NULL,
    at       INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;

INSERT INTO refusals_with_time (order_id, calls) SELECT order_id, calls FROM refusals;
DROP TABLE refusals;
ALTER TABLE refusals_with_time RENAME TO refusals;
CREATE INDEX refusals_at ON refusals (at);
