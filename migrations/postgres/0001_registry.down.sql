-- Takes everything away, the log included: a registry that is migrated up again has another log.

DROP TABLE relay_fan_outs;
DROP TABLE relay_cursor;
DROP TABLE relay_lease;
DROP TABLE import_watermarks;
DROP TABLE idempotent_requests;
DROP TABLE market_symbols;
DROP TABLE unique_keys;
DROP TABLE markets;
DROP TABLE instruments;
DROP TABLE venue_assets;
DROP TABLE venues;
DROP TABLE chains;
DROP TABLE assets;
DROP TABLE event_log;
DROP TABLE log_state;
