-- Since when an operator keeps its owner out.
ALTER TABLE users ADD COLUMN disabled_at INTEGER;

-- What operators did, to whom and why. Nothing of it is ever changed or deleted.
CREATE TABLE audit_log (
    id      BLOB    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    -- The operator; nobody for a command of the binary, on its database.
    actor   BLOB    REFERENCES users (id),
    action  TEXT    NOT NULL CHECK (action IN ('disable', 'enable', 'grant', 'rotate_keys')),
    subject BLOB    REFERENCES users (id),
    -- The reason, or the role.
    detail  TEXT
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
-- INSERT OR REPLACE deletes what is in its way without asking triggers of DELETE.
CREATE TRIGGER audit_log_is_not_replaced BEFORE INSERT ON audit_log WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
