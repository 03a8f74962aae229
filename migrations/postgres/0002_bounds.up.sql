-- Servers of the version before cannot read what this one logs: stop them all first, and back the database up.

-- What the relay remembers is of one log, and of no other: a restored database has another one.

ALTER TABLE relay_cursor ADD COLUMN log_id UUID;
UPDATE relay_cursor SET log_id = (SELECT log_id FROM log_state WHERE id = 1);
ALTER TABLE relay_fan_outs ADD COLUMN log_id UUID;
UPDATE relay_fan_outs SET log_id = (SELECT log_id FROM log_state WHERE id = 1);

-- Large answers are not kept whole: a repetition is told where the request stands in the log.
ALTER TABLE idempotent_requests ADD COLUMN is_whole BOOLEAN NOT NULL DEFAULT TRUE;

-- The symbol first: it is found alone, and with its venue. No index of the markets: the writer knows their symbols.
ALTER TABLE market_symbols DROP CONSTRAINT market_symbols_market_id_fkey;
DROP INDEX market_symbols_market;
ALTER TABLE market_symbols DROP CONSTRAINT market_symbols_pkey;
ALTER TABLE market_symbols ADD PRIMARY KEY (symbol, venue_id, market_id);

-- The events of a revision stand together, up to 64 a row, compressed: encoded events, each after its length. Rows from before stay
-- as they are, and hold one event, bare: however many there are, this takes no time.
ALTER TABLE event_log RENAME COLUMN body TO events;
ALTER TABLE event_log
    ADD COLUMN is_compressed BOOLEAN NOT NULL DEFAULT FALSE,
    DROP COLUMN type,
    DROP COLUMN entity_type,
    DROP COLUMN entity_id,
    DROP COLUMN venue_id,
    DROP COLUMN actor,
    DROP COLUMN request_id,
    DROP COLUMN reason,
    DROP COLUMN changed_fields,
    DROP COLUMN effective_us;
ALTER TABLE event_log ALTER COLUMN is_compressed DROP DEFAULT;
-- Compressed once is enough.
ALTER TABLE event_log ALTER COLUMN events SET STORAGE EXTERNAL;

-- The type of an entity is how its key begins. Keys of more than 64 bytes become hashes, which the server sees to.
ALTER TABLE unique_keys DROP COLUMN entity_type;

-- A list goes along the index of what it is filtered by. Where one value has much of a table, the planner would rather walk along the
-- primary key, past everything else until it meets that value again. So each value counts as rare, once the tables are analyzed.
ALTER TABLE assets
    ALTER COLUMN symbol SET (n_distinct = -1);
ALTER TABLE chains
    ALTER COLUMN caip2 SET (n_distinct = -1),
    ALTER COLUMN native_asset_id SET (n_distinct = -1);
ALTER TABLE venues
    ALTER COLUMN chain_id SET (n_distinct = -1);
ALTER TABLE venue_assets
    ALTER COLUMN venue_id SET (n_distinct = -1),
    ALTER COLUMN asset_id SET (n_distinct = -1);
ALTER TABLE instruments
    ALTER COLUMN base_asset_id SET (n_distinct = -1),
    ALTER COLUMN quote_asset_id SET (n_distinct = -1),
    ALTER COLUMN settle_asset_id SET (n_distinct = -1);
ALTER TABLE markets
    ALTER COLUMN venue_id SET (n_distinct = -1),
    ALTER COLUMN segment SET (n_distinct = -1),
    ALTER COLUMN instrument_id SET (n_distinct = -1);
ANALYZE assets, chains, venues, venue_assets, instruments, markets;
