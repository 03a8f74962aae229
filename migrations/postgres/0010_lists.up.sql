-- Assets are listed by category.
CREATE INDEX assets_category ON assets (category, id);
ALTER TABLE assets
    ALTER COLUMN name SET (n_distinct = -1),
    ALTER COLUMN category SET (n_distinct = -1);
