DROP TABLE list_references;
ALTER TABLE venue_assets ALTER COLUMN code RESET (n_distinct);
DROP INDEX venue_assets_code;
ALTER TABLE venue_assets
    DROP COLUMN networks,
    DROP COLUMN delisted_us,
    DROP COLUMN listed_us,
    DROP COLUMN is_trading_enabled;
ALTER TABLE venues DROP COLUMN network_chain_ids;
