ALTER TABLE instruments ALTER COLUMN code RESET (n_distinct);
ALTER TABLE assets
    ALTER COLUMN category RESET (n_distinct),
    ALTER COLUMN name RESET (n_distinct);
DROP INDEX assets_category;
