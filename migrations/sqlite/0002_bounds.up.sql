-- What the relay remembers is in a file of its own beside the database, so that a long write never stops the relay. What was here has
-- been copied there by the time that this runs.

DROP TABLE relay_fan_outs;
DROP TABLE relay_cursor;
DROP TABLE relay_lease;

-- Large answers are not kept whole: a repetition is told where the request stands in the log.
ALTER TABLE idempotent_requests ADD COLUMN is_whole BOOLEAN NOT NULL DEFAULT TRUE;

-- The symbol first: it is found alone, and with its venue.
CREATE TABLE new_market_symbols (
    venue_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    market_id BLOB NOT NULL REFERENCES markets (id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (symbol, venue_id, market_id)
) WITHOUT ROWID;
INSERT INTO new_market_symbols (venue_id, symbol, market_id) SELECT venue_id, symbol, market_id FROM market_symbols;
DROP TABLE market_symbols;
ALTER TABLE new_market_symbols RENAME TO market_symbols;
CREATE INDEX market_symbols_market ON market_symbols (market_id);
