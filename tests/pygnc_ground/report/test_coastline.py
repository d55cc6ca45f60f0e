import numpy as np
import pytest
from matplotlib.path import Path as Outline

from pygnc.configuration.data_files import data_file
from pygnc_ground.report.coastline import coastline


@pytest.mark.parametrize(
    ("place", "land"),
    [
        ((13.4, 52.5), True),  # Berlin
        ((-58.4, -34.7), True),  # Buenos Aires
        ((100.0, -85.0), True),  # Antarctica
        ((179.0, 67.5), True),  # Chukotka, at the edge of the map
        ((-30.0, 30.0), False),  # Atlantic
        ((-150.0, 0.0), False),  # Pacific
        ((51.0, 42.0), False),  # Caspian Sea, a hole in the land
    ],
)
def test_land_is_land_and_sea_is_sea(place: tuple[float, float], land: bool) -> None:  # noqa: FBT001
    rings_around = sum(Outline(ring).contains_point(place) for ring in coastline())
    assert rings_around % 2 == land


def test_rings_are_closed_and_on_the_map() -> None:
    rings = coastline()
    assert len(rings) > 100
    for ring in rings:
        assert len(ring) >= 4
        assert (ring[0] == ring[-1]).all()
        assert (np.abs(ring) <= (180.0, 90.0)).all()


def test_the_table_is_small_and_its_licence_is_told() -> None:
    table = data_file("coastline/coastline.txt")
    assert table.stat().st_size <= 100_000
    assert "public domain" in (table.parent / "README.md").read_text()
