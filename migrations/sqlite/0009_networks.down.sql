DROP TABLE list_references;
DROP INDEX venue_assets_code;
ALTER TABLE venue_assets DROP COLUMN networks;
ALTER TABLE venue_assets DROP COLUMN delisted_us;
ALTER TABLE venue_assets DROP COLUMN listed_us;
ALTER TABLE venue_assets DROP COLUMN is_trading_enabled;
ALTER TABLE venues DROP COLUMN network_chain_ids;
