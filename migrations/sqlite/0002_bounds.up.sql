-- What the relay remembers is in a file of its own beside the database, so that a long write never stops the relay. What was here has
-- been copied there by the time that this runs.

DROP TABLE relay_fan_outs;
DROP TABLE relay_cursor;
DROP TABLE relay_lease;

-- Large answers are not kept whole: a repetition is told where the request stands in the log.
ALTER TABLE idempotent_requests ADD COLUMN is_whole BOOLEAN NOT NULL DEFAULT TRUE;
