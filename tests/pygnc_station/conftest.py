"""Databases for tests of the store: SQLite, and a MariaDB server shared by all tests of a worker."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.mariadb import MariaDb


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    if shutil.which("mariadb-install-db") is None:
        pytest.skip("no MariaDB: apt-get install mariadb-server")
    with MariaDb() as server:
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'readings.db'}"


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.xdist_group("mariadb"))])
def url(request: pytest.FixtureRequest) -> str:
    """A new database of each kind."""
    if request.param == "sqlite":
        address: str = request.getfixturevalue("sqlite_url")
        return address
    server: MariaDb = request.getfixturevalue("mariadb")
    return server.new_database()
