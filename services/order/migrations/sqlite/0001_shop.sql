-- Products, their stock and the orders that hold it. Ids are uuids of 16 bytes,
-- times unix microseconds, money minor units.
-- Outbox and inbox live in the same file and are made by crates/messaging.

CREATE TABLE products (
    rowid       INTEGER PRIMARY KEY, -- named, so that the text index can hold on to it
    id          BLOB    NOT NULL UNIQUE,
    sku         TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    price       INTEGER NOT NULL,
    currency    TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    available   INTEGER NOT NULL CHECK (available >= 0),
    stocked     INTEGER NOT NULL,           -- at creation
    restocked   INTEGER NOT NULL DEFAULT 0, -- since
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE VIRTUAL TABLE products_text USING fts5 (
    sku, name, description,
    content = 'products', content_rowid = 'rowid',
    tokenize = 'unicode61 remove_diacritics 0', prefix = '2 3'
);
CREATE TRIGGER products_text_insert AFTER INSERT ON products BEGIN
    INSERT INTO products_text (rowid, sku, name, description)
    VALUES (NEW.rowid, NEW.sku, NEW.name, NEW.description);
END;
-- Sales and restocking do not touch the text.
CREATE TRIGGER products_text_update AFTER UPDATE OF name, description ON products BEGIN
    INSERT INTO products_text (products_text, rowid, sku, name, description)
    VALUES ('delete', OLD.rowid, OLD.sku, OLD.name, OLD.description);
    INSERT INTO products_text (rowid, sku, name, description)
    VALUES (NEW.rowid, NEW.sku, NEW.name, NEW.description);
END;

-- Idempotency keys of the commands on products; pruned after two days.
CREATE TABLE commands (
    seq        INTEGER PRIMARY KEY,
    user_id    BLOB    NOT NULL,
    command    TEXT    NOT NULL, -- method and path
    key        TEXT    NOT NULL,
    digest     BLOB    NOT NULL, -- of the body
    product_id BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    UNIQUE (user_id, command, key)
) STRICT;
CREATE INDEX commands_at ON commands (at);

CREATE TABLE orders (
    id             BLOB    NOT NULL UNIQUE,
    user_id        BLOB    NOT NULL,
    status         TEXT    NOT NULL,
    reason         TEXT,
    items          TEXT    NOT NULL, -- JSON: [{"p": product id in hex, "n": name, "q": quantity, "u": unit price}]
    amount         INTEGER NOT NULL,
    currency       TEXT    NOT NULL,
    payment_id     BLOB,
    payment_status TEXT,
    payment_token  TEXT,             -- until payment has answered
    digest         BLOB    NOT NULL, -- of the body it was placed with
    traceparent    TEXT,             -- of the request it was placed by
    tracestate     TEXT,
    canary         INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    due_at         INTEGER,          -- when the sweeper has to look after it
    attempts       INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_user ON orders (user_id, created_at, id);
CREATE INDEX orders_by_time ON orders (created_at, id);
CREATE INDEX orders_due ON orders (due_at) WHERE due_at IS NOT NULL;

-- Accounts that take no more orders.
CREATE TABLE closing_accounts (
    user_id BLOB    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
