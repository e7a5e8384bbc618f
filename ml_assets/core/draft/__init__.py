"""A product drafted from data: columns, roles, limits, gates, and the texts of its files. Reads no file, writes none."""
