-- As before, but a row that would wait for longer than a minute (`clock::HORIZON`) is due: no pause lasts that long, so that
-- time was stored under a clock that was wrong.
CREATE OR REPLACE FUNCTION outbox_due(parts smallint[], now timestamptz, most bigint, most_of_part bigint)
    RETURNS SETOF outbox LANGUAGE sql STABLE ROWS 64
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
    SET enable_sort = off SET jit = off
AS $$
    SELECT o.* FROM (
        SELECT due.seq FROM unnest(parts) AS mine (part)
        CROSS JOIN LATERAL (
            SELECT w.seq FROM outbox AS w
            WHERE w.part = mine.part AND w.dead_at IS NULL
              AND (w.next_at IS NULL OR w.next_at <= now OR w.next_at > now + interval '1 minute')
              AND NOT EXISTS (SELECT 1 FROM outbox AS b
                              WHERE b.key = w.key AND b.seq < w.seq AND b.next_at > now
                                AND b.next_at <= now + interval '1 minute' AND b.dead_at IS NULL)
            ORDER BY w.seq LIMIT most_of_part
        ) AS due
        ORDER BY due.seq LIMIT most
    ) AS first JOIN outbox AS o ON o.seq = first.seq
    ORDER BY o.seq
$$;
