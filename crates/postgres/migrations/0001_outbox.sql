-- The outbox and the inbox of a service, in the service's own database.
-- Applied once by `messaging::postgres::open`. What is there already stays: a database from before there was a history.

-- Events that are stored and not yet published. A row goes when the bus has it.
-- The order of one key is right by seq: a service writes events after it has locked or changed their aggregate's row,
-- so that two transactions of one key take their numbers one after the other.
CREATE TABLE IF NOT EXISTS outbox (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL,
    kind        text        NOT NULL,
    source      text        NOT NULL,
    subject     text,
    key         text        NOT NULL,
    time        timestamptz NOT NULL,
    data        bytea       NOT NULL,
    traceparent text,
    tracestate  text,
    canary      boolean     NOT NULL,
    part        smallint    NOT NULL,           -- of the key; relays lease parts
    attempts    integer     NOT NULL DEFAULT 0, -- how often the bus has refused it
    next_at     timestamptz,                    -- not before
    dead_at     timestamptz,                    -- given up
    reason      text                            -- of the last refusal
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

-- The oldest rows of these parts that are due, at most so many and so many of each part, in order.
-- Where rows come and go all the time statistics say nothing, and a plan that sorts costs with the length of the outbox:
-- there is one good plan, by outbox_part and outbox_refused, and nothing else is left to the planner.
CREATE OR REPLACE FUNCTION outbox_due(parts smallint[], now timestamptz, most bigint, most_of_part bigint)
    RETURNS SETOF outbox LANGUAGE sql STABLE ROWS 64
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
    SET enable_sort = off SET jit = off
AS $$
    SELECT o.* FROM (
        SELECT due.seq FROM unnest(parts) AS mine (part)
        CROSS JOIN LATERAL (
            SELECT w.seq FROM outbox AS w
            WHERE w.part = mine.part AND w.dead_at IS NULL AND (w.next_at IS NULL OR w.next_at <= now)
              AND NOT EXISTS (SELECT 1 FROM outbox AS b
                              WHERE b.key = w.key AND b.seq < w.seq AND b.next_at > now AND b.dead_at IS NULL)
            ORDER BY w.seq LIMIT most_of_part
        ) AS due
        ORDER BY due.seq LIMIT most
    ) AS first JOIN outbox AS o ON o.seq = first.seq
    ORDER BY o.seq
$$;

-- Which relay may publish the keys of a part. The fence goes up whenever the owner changes.
CREATE TABLE IF NOT EXISTS outbox_lease (
    part  smallint    PRIMARY KEY,
    owner text        NOT NULL DEFAULT '',
    fence bigint      NOT NULL DEFAULT 0,
    until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO outbox_lease (part) SELECT generate_series(0, 63) ON CONFLICT DO NOTHING;

-- The relays at work: each may hold as many parts as the others.
CREATE TABLE IF NOT EXISTS outbox_relay (
    owner text        PRIMARY KEY,
    until timestamptz NOT NULL
);

-- Events that have been applied, by consumer.
CREATE TABLE IF NOT EXISTS inbox (
    consumer text        NOT NULL,
    event    uuid        NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event)
);

-- Also IF NOT EXISTS would lock the tables of an index that is there, in the way of those at work.
DO $$ BEGIN
    -- What a relay takes next.
    IF to_regclass('outbox_part') IS NULL THEN
        CREATE INDEX outbox_part ON outbox (part, seq);
    END IF;
    -- The few rows that were refused: those block their keys.
    IF to_regclass('outbox_refused') IS NULL THEN
        CREATE INDEX outbox_refused ON outbox (key, seq) WHERE next_at IS NOT NULL;
    END IF;
    IF to_regclass('inbox_at') IS NULL THEN
        CREATE INDEX inbox_at ON inbox (at);
    END IF;
END $$;
