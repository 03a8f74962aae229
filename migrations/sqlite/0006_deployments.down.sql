DELETE FROM unique_keys WHERE key LIKE 'deployment.%';
DROP TABLE deployments;
