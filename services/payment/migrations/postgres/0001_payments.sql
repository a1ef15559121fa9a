-- Payments, their double-entry ledger and the webhooks that were handled. Money is minor units with an ISO 4217 code.

-- One row an order: its payment, or the word `closed` for an order that was voided before it had one.
CREATE TABLE payments (
    order_id       uuid        PRIMARY KEY,
    id             uuid        UNIQUE,
    user_id        uuid,
    amount         bigint      CHECK (amount > 0),
    currency       text        CHECK (currency ~ '^[A-Z]{3}$'),
    status         text        NOT NULL CHECK (status IN
        ('pending', 'authorized', 'declined', 'captured', 'voided', 'refunded', 'closed')),
    decline_reason text        CHECK (decline_reason IN ('declined', 'insufficient_funds')),
    -- The operation whose outcome is not stored yet, and the request behind it.
    intent         text        CHECK (intent IN ('authorize', 'capture', 'void', 'refund')),
    traceparent    text,
    tracestate     text,
    canary         boolean     NOT NULL DEFAULT false,
    -- What the customer pays with; forgotten once the provider has answered.
    token          text,
    -- The provider's name for the charge.
    reference      text,
    version        bigint      NOT NULL CHECK (version > 0),
    -- The highest fencing token of the payment's lock that has written.
    fence          bigint      NOT NULL,
    -- When the sweeper looks at the payment again; NULL when nothing is open.
    look_again     timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,

    CHECK ((status = 'closed') = (id IS NULL)),
    CHECK ((id IS NULL) = (user_id IS NULL) AND (id IS NULL) = (amount IS NULL) AND (id IS NULL) = (currency IS NULL)),
    CHECK ((status = 'declined') = (decline_reason IS NOT NULL)),
    CHECK ((status = 'pending') = (intent IS NOT DISTINCT FROM 'authorize')),
    CHECK ((status = 'pending') = (token IS NOT NULL)),
    CHECK (status NOT IN ('authorized', 'captured', 'refunded') OR reference IS NOT NULL),
    CHECK (intent IS NULL OR look_again IS NOT NULL)
);

-- What the sweeper takes next.
CREATE INDEX payments_look_again ON payments (look_again) WHERE look_again IS NOT NULL;
-- What the audit counts.
CREATE INDEX payments_intent ON payments (intent) WHERE intent IS NOT NULL;

-- A transaction is inserted after its entries and seals them: from then on nothing of it changes.
CREATE TABLE ledger_transactions (
    order_id  uuid        NOT NULL REFERENCES payments (order_id),
    operation text        NOT NULL CHECK (operation IN ('authorize', 'capture', 'void', 'refund')),
    booked_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, operation)
);

-- Signed amounts: debits positive, credits negative.
CREATE TABLE ledger_entries (
    order_id  uuid   NOT NULL,
    operation text   NOT NULL,
    account   text   NOT NULL CHECK (account IN ('holds', 'authorizations', 'cash', 'sales', 'refunds')),
    currency  text   NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount    bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (order_id, operation, account, currency),
    FOREIGN KEY (order_id, operation) REFERENCES ledger_transactions (order_id, operation)
        DEFERRABLE INITIALLY DEFERRED
);

CREATE FUNCTION ledger_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger_entries WHERE order_id = NEW.order_id AND operation = NEW.operation)
       OR EXISTS (SELECT 1 FROM ledger_entries WHERE order_id = NEW.order_id AND operation = NEW.operation
                  GROUP BY currency HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'the ledger transaction does not balance' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_transactions_balance BEFORE INSERT ON ledger_transactions
    FOR EACH ROW EXECUTE FUNCTION ledger_balances();

-- Two transactions that book the same operation at once meet at the primary key of `ledger_transactions`.
CREATE FUNCTION ledger_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM ledger_transactions WHERE order_id = NEW.order_id AND operation = NEW.operation) THEN
        RAISE EXCEPTION 'the ledger transaction is sealed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_entries_sealed BEFORE INSERT ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_is_open();

CREATE FUNCTION ledger_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger never changes' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER ledger_entries_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_stays();
CREATE TRIGGER ledger_transactions_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_stays();

-- Webhooks that were handled: delivered again, they do nothing.
CREATE TABLE webhooks (
    id          text        PRIMARY KEY,
    received_at timestamptz NOT NULL
);
-- Pruned by age.
CREATE INDEX webhooks_received_at ON webhooks (received_at);
