-- Accounts.
CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    email         text,
    -- The address without letter case; gone, and so free again, once the account is closed.
    email_key     text        UNIQUE,
    name          text,
    password_hash text,
    role          text        NOT NULL CHECK (role IN ('customer', 'operator')),
    status        text        NOT NULL CHECK (status IN ('active', 'closing', 'closed')),
    orders_placed bigint      NOT NULL DEFAULT 0 CHECK (orders_placed >= 0),
    -- What ETag shows.
    version       bigint      NOT NULL CHECK (version > 0),
    -- Rises with every write of the row; orders the copies in caches.
    revision      bigint      NOT NULL CHECK (revision >= version),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL CHECK (updated_at >= created_at),
    CHECK (CASE WHEN status = 'closed'
                THEN num_nonnulls(email, email_key, name, password_hash) = 0
                ELSE num_nulls(email, email_key, name, password_hash) = 0 END)
);

-- Accounts whose closing is not finished, and when order is asked next.
CREATE TABLE closings (
    user_id     uuid        PRIMARY KEY REFERENCES users (id),
    next_at     timestamptz NOT NULL,
    attempts    integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- How often an event asked for a look; one that comes while order is being asked is not overwritten.
    wakes       bigint      NOT NULL DEFAULT 0 CHECK (wakes >= 0),
    -- The trace and the canary mark of the request that began it.
    traceparent text,
    tracestate  text,
    canary      boolean     NOT NULL DEFAULT false
);
-- Those that are due, oldest first.
CREATE INDEX closings_by_time ON closings (next_at);

-- One row a login: a family of refresh tokens.
CREATE TABLE sessions (
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL,
    -- When its youngest token ends.
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
-- Revoked and deleted by account, pruned by age.
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- The SHA-256 of each refresh token. Used ones stay until they expire, so that a second use is noticed.
CREATE TABLE refresh_tokens (
    hash       bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    session_id uuid        NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
-- Deleted with their session, pruned by age.
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

-- Ed25519 keys that sign access tokens. A key has one successor: of two processes that make one, one wins.
CREATE TABLE signing_keys (
    kid         text        PRIMARY KEY,
    predecessor text        NOT NULL UNIQUE,
    pkcs8       bytea       NOT NULL,
    used_from   timestamptz NOT NULL
);
