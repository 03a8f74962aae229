-- What is packed cannot be unpacked here, nor can keys that are hashes: only an empty log is taken back. Restore a backup instead.
CREATE TABLE empty_log (
    events BIGINT NOT NULL CONSTRAINT "a log with events is not taken back: restore a backup" CHECK (events = 0)
);
INSERT INTO empty_log (events) SELECT COUNT(*) FROM event_log;
DROP TABLE empty_log;

DROP TABLE event_log;
CREATE TABLE event_log (
    revision BIGINT NOT NULL,
    idx INTEGER NOT NULL,
    type TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    venue_id TEXT,
    actor TEXT NOT NULL,
    request_id UUID,
    reason TEXT NOT NULL,
    changed_fields TEXT NOT NULL,
    effective_us BIGINT,
    commit_us BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (revision, idx)
);

ALTER TABLE relay_fan_outs DROP COLUMN log_id;
ALTER TABLE relay_cursor DROP COLUMN log_id;

-- What is not whole is no answer to an older version.
DELETE FROM idempotent_requests WHERE NOT is_whole;
ALTER TABLE idempotent_requests DROP COLUMN is_whole;

ALTER TABLE market_symbols DROP CONSTRAINT market_symbols_pkey;
ALTER TABLE market_symbols ADD PRIMARY KEY (venue_id, symbol, market_id);
ALTER TABLE market_symbols ADD FOREIGN KEY (market_id) REFERENCES markets (id) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX market_symbols_market ON market_symbols (market_id);

ALTER TABLE unique_keys ADD COLUMN entity_type TEXT;
UPDATE unique_keys SET entity_type = split_part(key, '.', 1);
ALTER TABLE unique_keys ALTER COLUMN entity_type SET NOT NULL;

ALTER TABLE assets
    ALTER COLUMN symbol RESET (n_distinct);
ALTER TABLE chains
    ALTER COLUMN caip2 RESET (n_distinct),
    ALTER COLUMN native_asset_id RESET (n_distinct);
ALTER TABLE venues
    ALTER COLUMN chain_id RESET (n_distinct);
ALTER TABLE venue_assets
    ALTER COLUMN venue_id RESET (n_distinct),
    ALTER COLUMN asset_id RESET (n_distinct);
ALTER TABLE instruments
    ALTER COLUMN base_asset_id RESET (n_distinct),
    ALTER COLUMN quote_asset_id RESET (n_distinct),
    ALTER COLUMN settle_asset_id RESET (n_distinct);
ALTER TABLE markets
    ALTER COLUMN venue_id RESET (n_distinct),
    ALTER COLUMN segment RESET (n_distinct),
    ALTER COLUMN instrument_id RESET (n_distinct);
