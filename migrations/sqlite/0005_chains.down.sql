DROP TABLE once_referred;
DROP INDEX chains_parent;
ALTER TABLE chains DROP COLUMN native_addresses;
ALTER TABLE chains DROP COLUMN parent_chain_id;
ALTER TABLE chains DROP COLUMN status;
