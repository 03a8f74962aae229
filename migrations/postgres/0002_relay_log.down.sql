ALTER TABLE relay_fan_outs DROP COLUMN log_id;
ALTER TABLE relay_cursor DROP COLUMN log_id;
