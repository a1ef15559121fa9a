-- How often the sweeper has claimed a payment since its intent was stored: it comes back ever later.
ALTER TABLE payments ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
