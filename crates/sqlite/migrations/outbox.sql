-- The outbox and the inbox of a service, in the service's own database.
-- Applied by `sqlite::prepare` at each start; every statement may run again.

-- Events that are stored and not yet published. A row goes when the bus has it.
CREATE TABLE IF NOT EXISTS outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of commits: SQLite has one writer
    id          BLOB    NOT NULL,                  -- uuid, 16 bytes
    kind        TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    subject     TEXT,
    key         TEXT    NOT NULL,
    time        INTEGER NOT NULL,                  -- unix microseconds, as all times here
    data        BLOB    NOT NULL,
    traceparent TEXT,
    tracestate  TEXT,
    canary      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,        -- how often the bus has refused it
    next_at     INTEGER NOT NULL DEFAULT 0,        -- not before
    dead_at     INTEGER,                           -- given up
    reason      TEXT                               -- of the last refusal
) STRICT;

-- The few rows that were refused: those block their keys.
CREATE INDEX IF NOT EXISTS outbox_refused ON outbox (key, seq) WHERE next_at > 0;

-- Which relay may publish. One row; the fence goes up whenever the owner changes.
CREATE TABLE IF NOT EXISTS outbox_lease (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    owner TEXT    NOT NULL,
    fence INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;
INSERT INTO outbox_lease (one, owner, fence, until) VALUES (1, '', 0, 0) ON CONFLICT DO NOTHING;

-- Events that have been applied, by consumer.
CREATE TABLE IF NOT EXISTS inbox (
    seq      INTEGER PRIMARY KEY,
    consumer TEXT    NOT NULL,
    event    BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    UNIQUE (consumer, event)
) STRICT;
