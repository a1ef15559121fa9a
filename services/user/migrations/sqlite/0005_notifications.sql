-- Mails that are owed: where each goes, until it is sent. What it says is in the task that sends it, on the bus.
CREATE TABLE notifications (
    -- The task's id.
    id         BLOB    NOT NULL PRIMARY KEY,
    user_id    BLOB    NOT NULL REFERENCES users (id),
    email      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    -- How often it was tried.
    attempts   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX notifications_by_time ON notifications (created_at);
