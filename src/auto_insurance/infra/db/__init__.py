"""PostgreSQL: engine, unit of work, tables' metadata, migrations."""
