-- The embedded bus: a log that several processes share through one file.
-- Applied at each opening; every statement may run again.

-- All events, in the order they were published in.
CREATE TABLE IF NOT EXISTS log (
    place       INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: cursors rely on it
    id          BLOB    NOT NULL UNIQUE,           -- uuid, 16 bytes
    kind        TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    subject     TEXT,
    key         TEXT    NOT NULL,
    time        INTEGER NOT NULL,                  -- unix microseconds, as all times here
    data        BLOB    NOT NULL,
    traceparent TEXT,
    tracestate  TEXT,
    canary      INTEGER NOT NULL,
    logged_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS log_kind ON log (kind);
CREATE INDEX IF NOT EXISTS log_marked ON log (kind) WHERE canary = 1;

-- Tells this log from another that is put into its place: positions of one mean nothing in the other.
CREATE TABLE IF NOT EXISTS identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log INTEGER NOT NULL
) STRICT;
INSERT INTO identity (one, log) VALUES (1, random()) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS groups (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- What a group listens to, and up to where it has taken events of that kind over into `pending`.
CREATE TABLE IF NOT EXISTS subscriptions (
    grp    INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    cursor INTEGER NOT NULL,
    PRIMARY KEY (grp, kind)
) STRICT, WITHOUT ROWID;

-- What a group has taken over and not settled. Only the first row of a key is its head, and only heads are delivered.
CREATE TABLE IF NOT EXISTS pending (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    grp        INTEGER NOT NULL,
    place      INTEGER NOT NULL,           -- in the log
    key        TEXT    NOT NULL,
    head       INTEGER NOT NULL,           -- 1: it is the head of its key; 2: and marked for the canary; 0: it waits
    visible_at INTEGER NOT NULL,           -- when it may be delivered: later while it is leased or waits for a retry
    attempts   INTEGER NOT NULL DEFAULT 0,
    fence      INTEGER NOT NULL DEFAULT 0, -- goes up with each delivery, retry and release: old holders do not match
    replays    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS pending_key ON pending (grp, key);
CREATE INDEX IF NOT EXISTS pending_ready ON pending (grp, visible_at) WHERE head = 1;
CREATE INDEX IF NOT EXISTS pending_marked ON pending (grp, visible_at) WHERE head = 2;

-- Whatever removes a head makes the next row of its key the head. (The first trigger of this kind knew no marks.)
DROP TRIGGER IF EXISTS pending_next;
CREATE TRIGGER IF NOT EXISTS pending_next_head AFTER DELETE ON pending WHEN OLD.head > 0 BEGIN
    UPDATE pending SET head = 1 + coalesce((SELECT canary FROM log WHERE log.place = pending.place), 0)
    WHERE seq = (SELECT min(seq) FROM pending WHERE grp = OLD.grp AND key = OLD.key);
END;

-- The canaries of a group, each for as long as it shows signs of life: until then marked heads are theirs alone.
CREATE TABLE IF NOT EXISTS canaries (
    grp    INTEGER NOT NULL,
    member BLOB    NOT NULL, -- uuid, 16 bytes
    until  INTEGER NOT NULL,
    PRIMARY KEY (grp, member)
) STRICT, WITHOUT ROWID;

-- What a group has given up.
CREATE TABLE IF NOT EXISTS dead (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    grp      INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    attempts INTEGER NOT NULL,
    replays  INTEGER NOT NULL,
    cause    TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    dead_at  INTEGER NOT NULL,
    UNIQUE (grp, place)
) STRICT;
CREATE INDEX IF NOT EXISTS dead_place ON dead (place);
