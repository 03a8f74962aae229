ALTER TABLE log_state DROP COLUMN commit_us;

ALTER TABLE markets
    ALTER COLUMN venue_symbol RESET (n_distinct),
    ALTER COLUMN venue_id SET (n_distinct = -1);

CREATE TABLE market_symbols (
    venue_id TEXT COLLATE "C" NOT NULL,
    symbol TEXT NOT NULL,
    market_id UUID NOT NULL,
    PRIMARY KEY (symbol, venue_id, market_id)
);
INSERT INTO market_symbols (venue_id, symbol, market_id)
    SELECT venue_id, venue_symbol, id FROM markets UNION SELECT venue_id, symbol, market_id FROM market_aliases;
DROP TABLE market_aliases;
DROP INDEX markets_symbol;

DROP INDEX instruments_settle;
CREATE INDEX instruments_settle ON instruments (settle_asset_id, id);
CREATE INDEX instruments_pair ON instruments (base_asset_id, quote_asset_id, id);

ALTER TABLE markets
    ADD FOREIGN KEY (venue_id) REFERENCES venues (id) DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (instrument_id) REFERENCES instruments (id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE instruments
    ADD FOREIGN KEY (base_asset_id) REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (quote_asset_id) REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (settle_asset_id) REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED;
ANALYZE instruments, markets, market_symbols;
