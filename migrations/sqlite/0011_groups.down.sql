DELETE FROM list_references WHERE referrer LIKE 'group/%';
DELETE FROM unique_keys WHERE key LIKE 'group.%';
DROP TABLE asset_groups;
