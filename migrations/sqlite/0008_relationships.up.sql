-- Relationships: what assets are of one another.
CREATE TABLE relationships (
    id BLOB PRIMARY KEY,
    from_asset_id BLOB NOT NULL REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    to_asset_id BLOB NOT NULL REFERENCES assets (id) DEFERRABLE INITIALLY DEFERRED,
    type TEXT NOT NULL,
    rate_kind TEXT NOT NULL,
    conversion_rate TEXT,
    effective_us BIGINT,
    protocol TEXT NOT NULL,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL
);
CREATE INDEX relationships_from ON relationships (from_asset_id, id);
CREATE INDEX relationships_to ON relationships (to_asset_id, id);
