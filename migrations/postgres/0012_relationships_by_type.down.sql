DROP INDEX relationships_to_type;
