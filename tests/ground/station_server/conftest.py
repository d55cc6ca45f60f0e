"""Databases for tests of the server."""

from tests.ground.store.conftest import mariadb, sqlite_url, url

__all__ = ["mariadb", "sqlite_url", "url"]
