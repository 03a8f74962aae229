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
