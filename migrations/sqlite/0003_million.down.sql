ALTER TABLE log_state DROP COLUMN commit_us;

CREATE TABLE market_symbols (
    venue_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    market_id BLOB NOT NULL,
    PRIMARY KEY (symbol, venue_id, market_id)
) WITHOUT ROWID;
INSERT INTO market_symbols (venue_id, symbol, market_id)
    SELECT venue_id, venue_symbol, id FROM markets UNION SELECT venue_id, symbol, market_id FROM market_aliases;
DROP TABLE market_aliases;

ALTER TABLE markets RENAME TO old_markets;
ALTER TABLE instruments RENAME TO old_instruments;
CREATE TABLE instruments (
    id BLOB NOT NULL PRIMARY KEY,
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
) WITHOUT ROWID;
INSERT INTO instruments
    (id, kind, base_asset_id, quote_asset_id, settle_asset_id, expiry, strike, option_type, exercise_style, protocol, code, labels, revision, create_us, update_us, delete_us)
    SELECT id, kind, base_asset_id, quote_asset_id, settle_asset_id, expiry, strike, option_type, exercise_style, protocol, code, labels, revision, create_us, update_us, delete_us
    FROM old_instruments;
CREATE TABLE markets (
    id BLOB NOT NULL PRIMARY KEY,
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
) WITHOUT ROWID;
INSERT INTO markets
    (id, venue_id, segment, venue_symbol, instrument_id, aliases, unit_multiplier, contract_size, contract_unit, quantity_unit, tick_size, lot_size, min_quantity, max_quantity, min_notional, maker_fee, taker_fee, funding_interval_us, status, listed_us, delisted_us, expiry_us, labels, revision, create_us, update_us)
    SELECT id, venue_id, segment, venue_symbol, instrument_id, aliases, unit_multiplier, contract_size, contract_unit, quantity_unit, tick_size, lot_size, min_quantity, max_quantity, min_notional, maker_fee, taker_fee, funding_interval_us, status, listed_us, delisted_us, expiry_us, labels, revision, create_us, update_us
    FROM old_markets;
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
