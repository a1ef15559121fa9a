-- Since when an operator keeps its owner out.
ALTER TABLE users ADD COLUMN disabled_at timestamptz;

-- What operators did, to whom and why. Nothing of it is ever changed or deleted.
CREATE TABLE audit_log (
    id      uuid        PRIMARY KEY,
    at      timestamptz NOT NULL,
    -- The operator; nobody for a command of the binary, on its database.
    actor   uuid        REFERENCES users (id),
    action  text        NOT NULL CHECK (action IN ('disable', 'enable', 'grant', 'rotate_keys')),
    subject uuid        REFERENCES users (id),
    -- The reason, or the role.
    detail  text
);
CREATE FUNCTION refuse_to_rewrite_audit_log() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit_log is append-only'; END $$;
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_audit_log();
