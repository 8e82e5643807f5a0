"""Real targets: a PostgreSQL server to load into, and what each target makes of a column."""
