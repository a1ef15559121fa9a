-- A key may be revoked: nothing was done under it, and nothing ever will be.
CREATE TABLE answers_with_revoked (
    key            TEXT NOT NULL PRIMARY KEY,
    order_id       BLOB NOT NULL CHECK (length(order_id) = 16),
    operation      TEXT NOT NULL CHECK (operation IN ('authorize', 'capture', 'void', 'refund')),
    reference      TEXT REFERENCES charges (reference),
    decline_reason TEXT CHECK (decline_reason IN ('declined', 'insufficient_funds', 'revoked')),
    CHECK ((reference IS NULL) <> (decline_reason IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO answers_with_revoked SELECT key, order_id, operation, reference, decline_reason FROM answers;
DROP TABLE answers;
ALTER TABLE answers_with_revoked RENAME TO answers;

-- Two approved answers to one operation of an order mean that somebody paid twice.
CREATE INDEX answers_approved ON answers (order_id, operation) WHERE reference IS NOT NULL;
