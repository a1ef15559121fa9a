-- Of an order whose cancel was accepted: whether it was confirmed before. NULL of others, and of older ones.
ALTER TABLE orders ADD COLUMN was_confirmed INTEGER;
