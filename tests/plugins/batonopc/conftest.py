from tests.pygnc_station.conftest import mariadb, sqlite_url, url

__all__ = ["mariadb", "sqlite_url", "url"]
