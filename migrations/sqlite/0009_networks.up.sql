-- Venues: which chains their codes for networks stand for, and by which of them assets move.
ALTER TABLE venues ADD COLUMN network_chain_ids TEXT NOT NULL DEFAULT '{}';
ALTER TABLE venue_assets ADD COLUMN is_trading_enabled BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE venue_assets ADD COLUMN listed_us BIGINT;
ALTER TABLE venue_assets ADD COLUMN delisted_us BIGINT;
ALTER TABLE venue_assets ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
CREATE INDEX venue_assets_code ON venue_assets (code, id);

-- What entities refer to in fields that hold many. Each end is a type and an id.
CREATE TABLE list_references (
    target TEXT NOT NULL,
    referrer TEXT NOT NULL,
    PRIMARY KEY (target, referrer)
);
CREATE INDEX list_references_referrer ON list_references (referrer);
