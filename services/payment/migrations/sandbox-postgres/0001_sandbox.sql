-- The sandbox provider's side of the world: in a schema of its own, so that it can share a database with payment.

-- Every charge, and where it stands.
CREATE TABLE sandbox.charges (
    reference text   PRIMARY KEY,
    order_id  uuid   NOT NULL,
    amount    bigint NOT NULL CHECK (amount > 0),
    currency  text   NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    state     text   NOT NULL CHECK (state IN ('authorized', 'captured', 'voided', 'refunded'))
);

CREATE INDEX charges_order ON sandbox.charges (order_id);

-- Every answer that was given, by idempotency key: the key makes each the only one.
CREATE TABLE sandbox.answers (
    key            text PRIMARY KEY,
    order_id       uuid NOT NULL,
    operation      text NOT NULL CHECK (operation IN ('authorize', 'capture', 'void', 'refund')),
    reference      text REFERENCES sandbox.charges (reference),
    decline_reason text CHECK (decline_reason IN ('declined', 'insufficient_funds')),
    CHECK ((reference IS NULL) <> (decline_reason IS NULL))
);

-- Two approved answers to one operation of an order mean that somebody paid twice.
CREATE INDEX answers_approved ON sandbox.answers (order_id, operation) WHERE reference IS NOT NULL;

-- How often `tok_unavailable` was refused for an order.
CREATE TABLE sandbox.refusals (
    order_id uuid   PRIMARY KEY,
    calls    bigint NOT NULL
);
