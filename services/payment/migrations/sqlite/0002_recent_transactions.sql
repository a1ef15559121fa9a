-- What was booked last, for the check that it balances.
CREATE INDEX ledger_transactions_booked_at ON ledger_transactions (booked_at);
