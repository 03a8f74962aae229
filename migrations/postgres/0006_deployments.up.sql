-- Deployments: what assets are on chains.
CREATE TABLE deployments (
    id UUID PRIMARY KEY,
    asset_id UUID NOT NULL REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    chain_id TEXT COLLATE "C" NOT NULL REFERENCES chains (id) DEFERRABLE INITIALLY DEFERRED,
    address TEXT NOT NULL,
    decimals BIGINT NOT NULL,
    standard TEXT NOT NULL,
    is_canonical BOOLEAN NOT NULL,
    deployed_us BIGINT,
    slip44 BIGINT,
    caip19 TEXT NOT NULL,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL
);
CREATE INDEX deployments_asset ON deployments (asset_id, id);
CREATE INDEX deployments_chain ON deployments (chain_id, id);
ALTER TABLE deployments
    ALTER COLUMN asset_id SET (n_distinct = -1),
    ALTER COLUMN chain_id SET (n_distinct = -1);
