-- Who paid twice is counted from the charges.
DROP INDEX sandbox.answers_approved;
