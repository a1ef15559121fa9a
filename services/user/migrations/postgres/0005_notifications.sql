-- Mails that are owed: where each goes, until it is sent. What it says is in the task that sends it, on the bus.
CREATE TABLE notifications (
    -- The task's id.
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users (id),
    email      text        NOT NULL,
    created_at timestamptz NOT NULL,
    -- How often it was tried.
    attempts   integer     NOT NULL DEFAULT 0
);
CREATE INDEX notifications_by_time ON notifications (created_at);
