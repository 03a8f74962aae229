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
    request_id BLOB,
    reason TEXT NOT NULL,
    changed_fields TEXT NOT NULL,
    effective_us BIGINT,
    commit_us BIGINT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (revision, idx)
);

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

ALTER TABLE market_symbols RENAME TO old_market_symbols;
ALTER TABLE markets RENAME TO old_markets;
ALTER TABLE instruments RENAME TO old_instruments;
CREATE TABLE instruments (
    id BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    base_asset_id BLOB NOT NULL REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    quote_asset_id BLOB REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    settle_asset_id BLOB REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    expiry TEXT,
    strike TEXT,
    option_type TEXT,
    exercise_style TEXT,
    protocol TEXT,
    code TEXT NOT NULL,
    labels TEXT NOT NULL,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL,
    delete_us BIGINT
);
INSERT INTO instruments
    (id, kind, base_asset_id, quote_asset_id, settle_asset_id, expiry, strike, option_type, exercise_style, protocol, code, labels, revision, create_us, update_us, delete_us)
    SELECT id, kind, base_asset_id, quote_asset_id, settle_asset_id, expiry, strike, option_type, exercise_style, protocol, code, labels, revision, create_us, update_us, delete_us
    FROM old_instruments;
CREATE TABLE markets (
    id BLOB PRIMARY KEY,
    venue_id TEXT NOT NULL REFERENCES venues (id) DEFERRABLE INITIALLY DEFERRED,
    segment TEXT NOT NULL,
    venue_symbol TEXT NOT NULL,
    instrument_id BLOB NOT NULL REFERENCES instruments (id) DEFERRABLE INITIALLY DEFERRED,
    aliases TEXT NOT NULL,
    unit_multiplier TEXT NOT NULL,
    contract_size TEXT,
    contract_unit TEXT,
    quantity_unit TEXT,
    tick_size TEXT,
    lot_size TEXT,
    min_quantity TEXT,
    max_quantity TEXT,
    min_notional TEXT,
    maker_fee TEXT,
    taker_fee TEXT,
    funding_interval_us BIGINT,
    status TEXT NOT NULL,
    listed_us BIGINT,
    delisted_us BIGINT,
    expiry_us BIGINT,
    labels TEXT NOT NULL,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL
);
INSERT INTO markets
    (id, venue_id, segment, venue_symbol, instrument_id, aliases, unit_multiplier, contract_size, contract_unit, quantity_unit, tick_size, lot_size, min_quantity, max_quantity, min_notional, maker_fee, taker_fee, funding_interval_us, status, listed_us, delisted_us, expiry_us, labels, revision, create_us, update_us)
    SELECT id, venue_id, segment, venue_symbol, instrument_id, aliases, unit_multiplier, contract_size, contract_unit, quantity_unit, tick_size, lot_size, min_quantity, max_quantity, min_notional, maker_fee, taker_fee, funding_interval_us, status, listed_us, delisted_us, expiry_us, labels, revision, create_us, update_us
    FROM old_markets;
CREATE TABLE market_symbols (
    venue_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    market_id BLOB NOT NULL REFERENCES markets (id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (venue_id, symbol, market_id)
);
INSERT INTO market_symbols (venue_id, symbol, market_id) SELECT venue_id, symbol, market_id FROM old_market_symbols;
DROP TABLE old_market_symbols;
DROP TABLE old_markets;
DROP TABLE old_instruments;
CREATE INDEX instruments_pair ON instruments (base_asset_id, quote_asset_id, id);
CREATE INDEX instruments_base ON instruments (base_asset_id, id);
CREATE INDEX instruments_quote ON instruments (quote_asset_id, id);
CREATE INDEX instruments_settle ON instruments (settle_asset_id, id);
CREATE INDEX instruments_code ON instruments (code, id);
CREATE INDEX markets_instrument ON markets (instrument_id, id);
CREATE INDEX markets_venue ON markets (venue_id, id);
CREATE INDEX markets_segment ON markets (venue_id, segment, id);
CREATE INDEX market_symbols_market ON market_symbols (market_id);

ALTER TABLE unique_keys RENAME TO short_unique_keys;
CREATE TABLE unique_keys (
    key TEXT PRIMARY KEY,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO unique_keys (key, entity_type, entity_id)
    SELECT key, substr(key, 1, instr(key, '.') - 1), entity_id FROM short_unique_keys;
DROP TABLE short_unique_keys;
