-- When the address was shown to be its owner's; gone with the address.
ALTER TABLE users ADD COLUMN email_verified_at INTEGER;

-- The SHA-256 of tokens that were sent by mail. Of each purpose an account has one at most, the latest.
CREATE TABLE mail_tokens (
    user_id    BLOB    NOT NULL REFERENCES users (id),
    purpose    TEXT    NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    hash       BLOB    NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_tokens_by_end ON mail_tokens (expires_at);
