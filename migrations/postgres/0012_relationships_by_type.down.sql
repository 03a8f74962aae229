ALTER TABLE relationships ALTER COLUMN type RESET (n_distinct);
DROP INDEX relationships_to_type;
