-- What the relay remembers is in a file of its own beside the database, so that a long write never stops the relay. What was here has
-- been copied there by the time that this runs.

DROP TABLE relay_fan_outs;
DROP TABLE relay_cursor;
DROP TABLE relay_lease;
