-- Payments, their double-entry ledger and the webhooks that were handled.
-- Ids are BLOB(16), times INTEGER unix microseconds, money INTEGER minor units with an ISO 4217 code.

-- One row an order: its payment, or the word `closed` for an order that was voided before it had one.
CREATE TABLE payments (
    order_id       BLOB    NOT NULL PRIMARY KEY CHECK (length(order_id) = 16),
    id             BLOB    UNIQUE CHECK (length(id) = 16),
    user_id        BLOB    CHECK (length(user_id) = 16),
    amount         INTEGER CHECK (amount > 0),
    currency       TEXT    CHECK (length(currency) = 3),
    status         TEXT    NOT NULL CHECK (status IN
        ('pending', 'authorized', 'declined', 'captured', 'voided', 'refunded', 'closed')),
    decline_reason TEXT    CHECK (decline_reason IN ('declined', 'insufficient_funds')),
    -- The operation whose outcome is not stored yet, and the request behind it.
    intent         TEXT    CHECK (intent IN ('authorize', 'capture', 'void', 'refund')),
    traceparent    TEXT,
    tracestate     TEXT,
    canary         INTEGER NOT NULL DEFAULT 0,
    -- What the customer pays with; forgotten once the provider has answered.
    token          TEXT,
    -- The provider's name for the charge.
    reference      TEXT,
    version        INTEGER NOT NULL,
    -- The highest fencing token of the payment's lock that has written.
    fence          INTEGER NOT NULL,
    -- When the sweeper looks at the payment again; NULL when nothing is open.
    look_again     INTEGER,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,

    CHECK ((status = 'closed') = (id IS NULL)),
    CHECK ((id IS NULL) = (user_id IS NULL) AND (id IS NULL) = (amount IS NULL) AND (id IS NULL) = (currency IS NULL)),
    CHECK ((status = 'declined') = (decline_reason IS NOT NULL)),
    CHECK ((status = 'pending') = (intent IS 'authorize')),
    CHECK ((status = 'pending') = (token IS NOT NULL)),
    CHECK (status NOT IN ('authorized', 'captured', 'refunded') OR reference IS NOT NULL),
    CHECK (intent IS NULL OR look_again IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX payments_look_again ON payments (look_again) WHERE look_again IS NOT NULL;
CREATE INDEX payments_intent ON payments (intent) WHERE intent IS NOT NULL;

-- A transaction is inserted after its entries and seals them: from then on nothing of it changes.
CREATE TABLE ledger_transactions (
    order_id  BLOB    NOT NULL REFERENCES payments (order_id),
    operation TEXT    NOT NULL CHECK (operation IN ('authorize', 'capture', 'void', 'refund')),
    booked_at INTEGER NOT NULL,
    PRIMARY KEY (order_id, operation)
) STRICT, WITHOUT ROWID;

-- Signed amounts: debits positive, credits negative.
CREATE TABLE ledger_entries (
    order_id  BLOB    NOT NULL,
    operation TEXT    NOT NULL,
    account   TEXT    NOT NULL CHECK (account IN ('holds', 'authorizations', 'cash', 'sales', 'refunds')),
    currency  TEXT    NOT NULL CHECK (length(currency) = 3),
    amount    INTEGER NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (order_id, operation, account, currency),
    FOREIGN KEY (order_id, operation) REFERENCES ledger_transactions (order_id, operation)
        DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

CREATE TRIGGER ledger_transactions_balance BEFORE INSERT ON ledger_transactions
WHEN NOT EXISTS (SELECT 1 FROM ledger_entries WHERE order_id = NEW.order_id AND operation = NEW.operation)
  OR EXISTS (SELECT 1 FROM ledger_entries WHERE order_id = NEW.order_id AND operation = NEW.operation
             GROUP BY currency HAVING sum(amount) <> 0)
BEGIN SELECT RAISE(ABORT, 'the ledger transaction does not balance'); END;

CREATE TRIGGER ledger_entries_sealed BEFORE INSERT ON ledger_entries
WHEN EXISTS (SELECT 1 FROM ledger_transactions WHERE order_id = NEW.order_id AND operation = NEW.operation)
BEGIN SELECT RAISE(ABORT, 'the ledger transaction is sealed'); END;

CREATE TRIGGER ledger_entries_kept BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'a ledger entry never changes'); END;
CREATE TRIGGER ledger_entries_never_go BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'a ledger entry never goes'); END;
CREATE TRIGGER ledger_transactions_kept BEFORE UPDATE ON ledger_transactions
BEGIN SELECT RAISE(ABORT, 'a ledger transaction never changes'); END;
CREATE TRIGGER ledger_transactions_never_go BEFORE DELETE ON ledger_transactions
BEGIN SELECT RAISE(ABORT, 'a ledger transaction never goes'); END;

-- Webhooks that were handled: delivered again, they do nothing.
CREATE TABLE webhooks (
    id          TEXT    NOT NULL PRIMARY KEY,
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX webhooks_received_at ON webhooks (received_at);
