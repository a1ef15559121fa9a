-- Accounts. Times are microseconds since 1970 (UTC), ids 16 bytes.
CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    email         TEXT,
    -- The address without letter case; gone, and so free again, once the account is closed.
    email_key     TEXT    UNIQUE,
    name          TEXT,
    password_hash TEXT,
    role          TEXT    NOT NULL CHECK (role IN ('customer', 'operator')),
    status        TEXT    NOT NULL CHECK (status IN ('active', 'closing', 'closed')),
    orders_placed INTEGER NOT NULL DEFAULT 0,
    -- What ETag shows.
    version       INTEGER NOT NULL,
    -- Rises with every write of the row; orders the copies in caches.
    revision      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    CHECK ((status = 'closed') = (email IS NULL AND email_key IS NULL AND name IS NULL AND password_hash IS NULL))
) STRICT, WITHOUT ROWID;

-- Accounts whose closing is not finished, and when order is asked next.
CREATE TABLE closings (
    user_id  BLOB    NOT NULL PRIMARY KEY REFERENCES users (id),
    next_at  INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- How often an event asked for a look; one that comes while order is being asked is not overwritten.
    wakes    INTEGER NOT NULL DEFAULT 0,
    -- The trace and the canary mark of the request that began it.
    traceparent TEXT,
    tracestate  TEXT,
    canary      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX closings_by_time ON closings (next_at);

-- One row a login: a family of refresh tokens.
CREATE TABLE sessions (
    id         BLOB    NOT NULL PRIMARY KEY,
    user_id    BLOB    NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    -- When its youngest token ends.
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- The SHA-256 of each refresh token. Used ones stay until they expire, so that a second use is noticed.
CREATE TABLE refresh_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY,
    session_id BLOB    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

-- Ed25519 keys that sign access tokens. A key has one successor: of two processes that make one, one wins.
CREATE TABLE signing_keys (
    kid         TEXT    NOT NULL PRIMARY KEY,
    predecessor TEXT    NOT NULL UNIQUE,
    pkcs8       BLOB    NOT NULL,
    used_from   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
