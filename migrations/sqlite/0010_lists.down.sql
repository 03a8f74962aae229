DROP INDEX assets_category;
