DELETE FROM unique_keys WHERE key LIKE 'identifier.%';
DROP TABLE identifiers;
