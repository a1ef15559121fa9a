CREATE TABLE notes (
    counter TEXT NOT NULL REFERENCES counters (name),
    text    TEXT NOT NULL
) STRICT;
