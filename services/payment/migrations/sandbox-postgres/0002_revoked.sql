-- A key may be revoked: nothing was done under it, and nothing ever will be.
ALTER TABLE sandbox.answers
    DROP CONSTRAINT answers_decline_reason_check,
    ADD CONSTRAINT answers_decline_reason_check
        CHECK (decline_reason IN ('declined', 'insufficient_funds', 'revoked'));
