-- Assets are listed by category, and instruments by code.
CREATE INDEX assets_category ON assets (category, id);
ALTER TABLE assets
    ALTER COLUMN name SET (n_distinct = -1),
    ALTER COLUMN category SET (n_distinct = -1);
ALTER TABLE instruments ALTER COLUMN code SET (n_distinct = -1);
