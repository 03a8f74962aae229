ALTER TABLE relay_fan_outs DROP COLUMN log_id;
ALTER TABLE relay_cursor DROP COLUMN log_id;

-- What is not whole is no answer to an older version.
DELETE FROM idempotent_requests WHERE NOT is_whole;
ALTER TABLE idempotent_requests DROP COLUMN is_whole;

ALTER TABLE market_symbols DROP CONSTRAINT market_symbols_pkey;
ALTER TABLE market_symbols ADD PRIMARY KEY (venue_id, symbol, market_id);
