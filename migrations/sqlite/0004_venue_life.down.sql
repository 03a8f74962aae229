ALTER TABLE markets DROP COLUMN override_times;
ALTER TABLE markets DROP COLUMN delisted_inferred;
