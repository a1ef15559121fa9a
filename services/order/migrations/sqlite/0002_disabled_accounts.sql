-- Accounts that an operator disabled, or enabled again, in this version of theirs.
CREATE TABLE disabled_accounts (
    user_id  BLOB    NOT NULL PRIMARY KEY,
    version  INTEGER NOT NULL,
    disabled INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
