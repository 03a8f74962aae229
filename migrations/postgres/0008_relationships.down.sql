DELETE FROM unique_keys WHERE key LIKE 'relationship.%';
DROP TABLE relationships;
