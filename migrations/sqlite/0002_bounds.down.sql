-- As they were before, and empty: the relay finds its place on the stream.

CREATE TABLE relay_lease (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    holder BLOB NOT NULL,
    expire_us BIGINT NOT NULL
);
CREATE TABLE relay_cursor (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL,
    idx INTEGER NOT NULL
);
CREATE TABLE relay_fan_outs (
    revision BIGINT NOT NULL,
    idx INTEGER NOT NULL,
    messages BLOB NOT NULL,
    PRIMARY KEY (revision, idx)
);

-- What is not whole is no answer to an older version.
DELETE FROM idempotent_requests WHERE NOT is_whole;
ALTER TABLE idempotent_requests DROP COLUMN is_whole;

CREATE TABLE new_market_symbols (
    venue_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    market_id BLOB NOT NULL REFERENCES markets (id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (venue_id, symbol, market_id)
);
INSERT INTO new_market_symbols (venue_id, symbol, market_id) SELECT venue_id, symbol, market_id FROM market_symbols;
DROP TABLE market_symbols;
ALTER TABLE new_market_symbols RENAME TO market_symbols;
CREATE INDEX market_symbols_market ON market_symbols (market_id);
