-- Assets are listed by category.
CREATE INDEX assets_category ON assets (category, id);
