-- Identifiers: what others call entities.
CREATE TABLE identifiers (
    id BLOB PRIMARY KEY,
    asset_id BLOB REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    deployment_id BLOB REFERENCES deployments (id) DEFERRABLE INITIALLY DEFERRED,
    instrument_id BLOB REFERENCES instruments (id) DEFERRABLE INITIALLY DEFERRED,
    market_id BLOB REFERENCES markets (id) DEFERRABLE INITIALLY DEFERRED,
    venue_id TEXT REFERENCES venues (id) DEFERRABLE INITIALLY DEFERRED,
    source TEXT NOT NULL,
    external_id TEXT NOT NULL,
    is_primary BOOLEAN NOT NULL,
    verified_us BIGINT,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL
);
CREATE INDEX identifiers_asset ON identifiers (asset_id, id);
CREATE INDEX identifiers_deployment ON identifiers (deployment_id, id);
CREATE INDEX identifiers_instrument ON identifiers (instrument_id, id);
CREATE INDEX identifiers_market ON identifiers (market_id, id);
CREATE INDEX identifiers_source ON identifiers (source, id);
CREATE INDEX identifiers_venue ON identifiers (venue_id, id);
