-- When the address was shown to be its owner's; gone with the address.
ALTER TABLE users ADD COLUMN email_verified_at timestamptz;

-- The SHA-256 of tokens that were sent by mail. Of each purpose an account has one at most, the latest.
CREATE TABLE mail_tokens (
    user_id    uuid        NOT NULL REFERENCES users (id),
    purpose    text        NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    hash       bytea       NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
CREATE INDEX mail_tokens_by_end ON mail_tokens (expires_at);
