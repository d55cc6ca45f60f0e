"""Readings of any device in SQLite, MariaDB or MySQL: one schema, one identity for each reading, nothing twice."""
