-- With a token that was used, its seed gives the successor once more, as long as that was not used itself.
ALTER TABLE refresh_tokens ADD COLUMN seed bytea CHECK (octet_length(seed) = 32);
ALTER TABLE refresh_tokens ADD COLUMN predecessor bytea CHECK (octet_length(predecessor) = 32);

-- Not known of sessions from before.
ALTER TABLE sessions ADD COLUMN last_used_at timestamptz;
