-- A user's orders with some statuses: few, however many have ended.
CREATE INDEX orders_by_status ON orders (user_id, status, id);
