-- Who paid twice is counted from the charges.
DROP INDEX answers_approved;
