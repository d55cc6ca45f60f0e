from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_station.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "readings.db")) as store:
        yield store
