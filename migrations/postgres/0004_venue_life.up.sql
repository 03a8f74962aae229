-- Whether an end was inferred from absence, and which fields callers changed, and when.
ALTER TABLE markets ADD COLUMN delisted_inferred BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE markets ADD COLUMN override_times TEXT;
