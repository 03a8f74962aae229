-- What a million markets do not need. The two large tables are copied: there must be room for as much again.

-- They have no foreign keys: the writer checks each entity that is referred to once. A list by base and quote goes along the base, and
-- what settles in its quote is found by that.
ALTER TABLE markets RENAME TO old_markets;
ALTER TABLE instruments RENAME TO old_instruments;
CREATE TABLE instruments (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    base_asset_id BLOB NOT NULL,
    quote_asset_id BLOB,
    settle_asset_id BLOB,
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
    venue_id TEXT NOT NULL,
    segment TEXT NOT NULL,
    venue_symbol TEXT NOT NULL,
    instrument_id BLOB NOT NULL,
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
CREATE INDEX instruments_base ON instruments (base_asset_id, id);
CREATE INDEX instruments_quote ON instruments (quote_asset_id, id);
CREATE INDEX instruments_settle ON instruments (settle_asset_id, id) WHERE settle_asset_id <> quote_asset_id;
CREATE INDEX instruments_code ON instruments (code, id);
CREATE INDEX markets_symbol ON markets (venue_symbol, id);
CREATE INDEX markets_instrument ON markets (instrument_id, id);
CREATE INDEX markets_venue ON markets (venue_id, id);
CREATE INDEX markets_segment ON markets (venue_id, segment, id);

-- The symbols of markets are theirs. A table of their own have the aliases alone, of which there are few.
CREATE TABLE market_aliases (
    venue_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    market_id BLOB NOT NULL,
    PRIMARY KEY (symbol, venue_id, market_id)
) WITHOUT ROWID;
INSERT INTO market_aliases (venue_id, symbol, market_id)
    SELECT s.venue_id, s.symbol, s.market_id FROM market_symbols s JOIN markets e ON e.id = s.market_id
    WHERE s.symbol <> e.venue_symbol;
DROP TABLE market_symbols;

-- A state is known by its revision and its time together: a restored file may have another commit of that revision.
ALTER TABLE log_state ADD COLUMN commit_us BIGINT;
UPDATE log_state SET commit_us = (SELECT e.commit_us FROM event_log e WHERE e.revision = log_state.revision AND e.idx = 0);
