"""Store of readings in SQLite, MariaDB or MySQL."""
