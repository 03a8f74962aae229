-- What a million markets do not need. Servers of the version before cannot run beside this one: stop them all first.

-- The large tables have no foreign keys: the database would check each of them row by row, a quarter of its time in an import. The writer
-- checks each entity that is referred to once.
ALTER TABLE instruments
    DROP CONSTRAINT instruments_base_asset_id_fkey,
    DROP CONSTRAINT instruments_quote_asset_id_fkey,
    DROP CONSTRAINT instruments_settle_asset_id_fkey;
ALTER TABLE markets
    DROP CONSTRAINT markets_venue_id_fkey,
    DROP CONSTRAINT markets_instrument_id_fkey;

-- A list by base and quote goes along the base. What settles in its quote is found by that.
DROP INDEX instruments_pair;
DROP INDEX instruments_settle;
CREATE INDEX instruments_settle ON instruments (settle_asset_id, id) WHERE settle_asset_id <> quote_asset_id;

-- The symbols of markets are theirs. A table of their own have the aliases alone, of which there are few.
CREATE INDEX markets_symbol ON markets (venue_symbol, id);
CREATE TABLE market_aliases (
    venue_id TEXT COLLATE "C" NOT NULL,
    symbol TEXT NOT NULL,
    market_id UUID NOT NULL,
    PRIMARY KEY (symbol, venue_id, market_id)
);
INSERT INTO market_aliases (venue_id, symbol, market_id)
    SELECT s.venue_id, s.symbol, s.market_id FROM market_symbols s JOIN markets e ON e.id = s.market_id
    WHERE s.symbol <> e.venue_symbol;
DROP TABLE market_symbols;

-- A venue is less rare than its segments and its symbols.
ALTER TABLE markets
    ALTER COLUMN venue_symbol SET (n_distinct = -1),
    ALTER COLUMN venue_id SET (n_distinct = -0.01);

-- A state is known by its revision and its time together: after a failover another commit may have the revision.
ALTER TABLE log_state ADD COLUMN commit_us BIGINT;
UPDATE log_state SET commit_us = (SELECT e.commit_us FROM event_log e WHERE e.revision = log_state.revision AND e.idx = 0);

-- An empty table that was analyzed is planned for as if it stayed empty, and one that was not as if it had a few hundred rows. (All other
-- entities refer to one of these. Nobody writes meanwhile: the counter is locked.)
DO $$
BEGIN
    PERFORM FROM log_state FOR UPDATE;
    IF EXISTS (SELECT FROM assets) OR EXISTS (SELECT FROM chains) OR EXISTS (SELECT FROM venues) THEN
        ANALYZE instruments, markets, market_aliases;
    ELSE
        TRUNCATE assets, chains, venues, venue_assets, instruments, markets;
    END IF;
END
$$;
