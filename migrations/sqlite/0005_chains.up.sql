-- Chains: whether one is in use, on which it settles, and what its own coin is called there.
ALTER TABLE chains ADD COLUMN status TEXT NOT NULL DEFAULT 'CHAIN_STATUS_ACTIVE';
ALTER TABLE chains ADD COLUMN parent_chain_id TEXT REFERENCES chains (id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE chains ADD COLUMN native_addresses TEXT NOT NULL DEFAULT '[]';
CREATE INDEX chains_parent ON chains (parent_chain_id, id);

-- What anything ever referred to, of the types that are never deleted after that.
CREATE TABLE once_referred (
    entity_id TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    PRIMARY KEY (entity_id, entity_type)
);
INSERT INTO once_referred (entity_id, entity_type) SELECT DISTINCT chain_id, 'chain' FROM venues WHERE chain_id IS NOT NULL;
