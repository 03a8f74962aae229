-- The registry: entities, the event log with its counter, and what writes, imports and the relay remember.
-- Times are microseconds since the Unix epoch. Decimals are canonical text. Enumerations are the contract's names.
-- Foreign keys are checked at commit, so that one write may create what it refers to in any order.
-- Columns by which lists are found have an index that ends with the id, which is the order of lists.

CREATE TABLE log_state (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    log_id BLOB NOT NULL,
    revision BIGINT NOT NULL,
    oldest BIGINT NOT NULL
);

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

CREATE TABLE assets (
    id BLOB PRIMARY KEY,
    symbol TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    category TEXT NOT NULL,
    description TEXT NOT NULL,
    logo_url TEXT NOT NULL,
    website_url TEXT NOT NULL,
    labels TEXT NOT NULL,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL,
    delete_us BIGINT
);
CREATE INDEX assets_symbol ON assets (symbol, id);
CREATE INDEX assets_name ON assets (name, id);

CREATE TABLE chains (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    caip2 TEXT NOT NULL,
    native_asset_id BLOB REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    explorer_url TEXT NOT NULL,
    rpc_urls TEXT NOT NULL,
    is_testnet BOOLEAN NOT NULL,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL
);
CREATE INDEX chains_caip2 ON chains (caip2, id);
CREATE INDEX chains_native_asset ON chains (native_asset_id, id);

CREATE TABLE venues (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    chain_id TEXT REFERENCES chains (id) DEFERRABLE INITIALLY DEFERRED,
    protocol_address TEXT NOT NULL,
    website_url TEXT NOT NULL,
    api_endpoint TEXT NOT NULL,
    mic TEXT NOT NULL,
    symbology TEXT NOT NULL,
    is_active BOOLEAN NOT NULL,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL,
    delete_us BIGINT
);
CREATE INDEX venues_chain ON venues (chain_id, id);

CREATE TABLE venue_assets (
    id BLOB PRIMARY KEY,
    venue_id TEXT NOT NULL REFERENCES venues (id) DEFERRABLE INITIALLY DEFERRED,
    segment TEXT NOT NULL,
    code TEXT NOT NULL,
    asset_id BLOB NOT NULL REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL
);
CREATE INDEX venue_assets_venue ON venue_assets (venue_id, id);
CREATE INDEX venue_assets_asset ON venue_assets (asset_id, id);

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
CREATE INDEX instruments_pair ON instruments (base_asset_id, quote_asset_id, id);
CREATE INDEX instruments_base ON instruments (base_asset_id, id);
CREATE INDEX instruments_quote ON instruments (quote_asset_id, id);
CREATE INDEX instruments_settle ON instruments (settle_asset_id, id);
CREATE INDEX instruments_code ON instruments (code, id);

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
CREATE INDEX markets_instrument ON markets (instrument_id, id);
CREATE INDEX markets_venue ON markets (venue_id, id);
CREATE INDEX markets_segment ON markets (venue_id, segment, id);

-- Every key that no two entities share, as text, and who has it. Deleted entities keep theirs while they are only marked.
CREATE TABLE unique_keys (
    key TEXT PRIMARY KEY,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL
) WITHOUT ROWID;

-- Every symbol and alias of every market, the past ones too: where resolving starts.
CREATE TABLE market_symbols (
    venue_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    market_id BLOB NOT NULL REFERENCES markets (id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (venue_id, symbol, market_id)
);
CREATE INDEX market_symbols_market ON market_symbols (market_id);

-- What each request with an id was answered, so that its repetition gets the same.
CREATE TABLE idempotent_requests (
    actor TEXT NOT NULL,
    method TEXT NOT NULL,
    request_id BLOB NOT NULL,
    body_hash BLOB NOT NULL,
    revision BIGINT NOT NULL,
    answer BLOB NOT NULL,
    expire_us BIGINT NOT NULL,
    PRIMARY KEY (actor, method, request_id)
);
CREATE INDEX idempotent_requests_expire ON idempotent_requests (expire_us);

-- The newest moment of which a listing of each segment was imported.
CREATE TABLE import_watermarks (
    venue_id TEXT NOT NULL,
    segment TEXT NOT NULL,
    observed_us BIGINT NOT NULL,
    PRIMARY KEY (venue_id, segment)
);

CREATE TABLE relay_lease (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    holder BLOB NOT NULL,
    expire_us BIGINT NOT NULL
);

-- The place after the last event that is known to be on the stream.
CREATE TABLE relay_cursor (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL,
    idx INTEGER NOT NULL
);

-- The messages that an event was split into, until all of them are known to be on the stream.
CREATE TABLE relay_fan_outs (
    revision BIGINT NOT NULL,
    idx INTEGER NOT NULL,
    messages BLOB NOT NULL,
    PRIMARY KEY (revision, idx)
);
