-- The variants of an asset are read without the pools that it is in.
CREATE INDEX relationships_to_type ON relationships (to_asset_id, type, id);
ALTER TABLE relationships ALTER COLUMN type SET (n_distinct = -1);
