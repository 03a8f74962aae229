-- Groups: assets that belong together. What their members are stands in list_references, too.
CREATE TABLE asset_groups (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    members TEXT NOT NULL,
    revision BIGINT NOT NULL,
    create_us BIGINT NOT NULL,
    update_us BIGINT NOT NULL
);
CREATE INDEX asset_groups_name ON asset_groups (name, id);
ALTER TABLE asset_groups ALTER COLUMN name SET (n_distinct = -1);
