-- What the relay remembers is in a file of its own beside the database, so that a long write never stops the relay. What was here has
-- been copied there by the time that this runs.

DROP TABLE relay_fan_outs;
DROP TABLE relay_cursor;
DROP TABLE relay_lease;

-- Large answers are not kept whole: a repetition is told where the request stands in the log.
ALTER TABLE idempotent_requests ADD COLUMN is_whole BOOLEAN NOT NULL DEFAULT TRUE;

-- The events of a revision stand together, up to 64 a row, compressed: encoded events, each after its length. Rows from before hold
-- one event, bare. They are copied: there must be room for as much again.
ALTER TABLE event_log RENAME TO old_event_log;
CREATE TABLE event_log (
    revision BIGINT NOT NULL,
    idx INTEGER NOT NULL,
    commit_us BIGINT NOT NULL,
    is_compressed BOOLEAN NOT NULL,
    events BLOB NOT NULL,
    PRIMARY KEY (revision, idx)
);
INSERT INTO event_log (revision, idx, commit_us, is_compressed, events)
    SELECT revision, idx, commit_us, FALSE, body FROM old_event_log;
DROP TABLE old_event_log;

-- The large tables by their primary key alone, without a row number beside it; and of the symbols of markets the symbol first, which
-- is found alone, and with its venue, and no index of the markets: the writer knows their symbols. References follow a table that is renamed: the old ones hold on to each other, and go together.
ALTER TABLE market_symbols RENAME TO old_market_symbols;
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
CREATE TABLE market_symbols (
    venue_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    market_id BLOB NOT NULL,
    PRIMARY KEY (symbol, venue_id, market_id)
) WITHOUT ROWID;
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

-- The type of an entity is how its key begins. Keys of more than 64 bytes become hashes, which the server sees to.
ALTER TABLE unique_keys DROP COLUMN entity_type;
