-- What the relay remembers is of one log, and of no other: a restored database has another one. Servers of the version before write
-- no log, and their cursor counts for none.

ALTER TABLE relay_cursor ADD COLUMN log_id UUID;
UPDATE relay_cursor SET log_id = (SELECT log_id FROM log_state WHERE id = 1);
ALTER TABLE relay_fan_outs ADD COLUMN log_id UUID;
UPDATE relay_fan_outs SET log_id = (SELECT log_id FROM log_state WHERE id = 1);

-- Large answers are not kept whole: a repetition is told where the request stands in the log.
ALTER TABLE idempotent_requests ADD COLUMN is_whole BOOLEAN NOT NULL DEFAULT TRUE;

-- The symbol first: it is found alone, and with its venue.
ALTER TABLE market_symbols DROP CONSTRAINT market_symbols_pkey;
ALTER TABLE market_symbols ADD PRIMARY KEY (symbol, venue_id, market_id);

-- The events of a revision stand together, up to 64 a row, compressed: event_count encoded events, each after its length. Rows from
-- before hold one event, bare.
ALTER TABLE event_log RENAME TO old_event_log;
ALTER INDEX event_log_pkey RENAME TO old_event_log_pkey;
CREATE TABLE event_log (
    revision BIGINT NOT NULL,
    idx INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    commit_us BIGINT NOT NULL,
    is_compressed BOOLEAN NOT NULL,
    events BYTEA NOT NULL,
    PRIMARY KEY (revision, idx)
);
-- Compressed once is enough.
ALTER TABLE event_log ALTER COLUMN events SET STORAGE EXTERNAL;
INSERT INTO event_log (revision, idx, event_count, commit_us, is_compressed, events)
    SELECT revision, idx, 1, commit_us, FALSE, body FROM old_event_log;
DROP TABLE old_event_log;
