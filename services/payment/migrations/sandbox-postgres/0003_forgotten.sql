-- Answers and counts of calls are forgotten after a while.
ALTER TABLE sandbox.answers ADD COLUMN at timestamptz NOT NULL DEFAULT now();
CREATE INDEX answers_at ON sandbox.answers (at);
ALTER TABLE sandbox.refusals ADD COLUMN at timestamptz NOT NULL DEFAULT now();
CREATE INDEX refusals_at ON sandbox.refusals (at);
