-- How often the sweeper has claimed a payment since its intent was stored: it comes back ever later.
ALTER TABLE payments ADD COLUMN attempts integer NOT NULL DEFAULT 0;
