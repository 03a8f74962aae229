-- Venues: which chains their codes for networks stand for, and by which of them assets move.
ALTER TABLE venues ADD COLUMN network_chain_ids TEXT NOT NULL DEFAULT '{}';
ALTER TABLE venue_assets
    ADD COLUMN is_trading_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    ADD COLUMN listed_us BIGINT,
    ADD COLUMN delisted_us BIGINT,
    ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
CREATE INDEX venue_assets_code ON venue_assets (code, id);
ALTER TABLE venue_assets ALTER COLUMN code SET (n_distinct = -1);

-- What entities refer to in fields that hold many. Each end is a type and an id.
CREATE TABLE list_references (
    target TEXT COLLATE "C" NOT NULL,
    referrer TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (target, referrer)
);
CREATE INDEX list_references_referrer ON list_references (referrer);
