import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from pygnc_ground.report.map_figure import coastline, flat_track
from pygnc_system.files import data_file


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
def test_points_on_land_are_inside_the_coastline(place: tuple[float, float], land: bool) -> None:  # noqa: FBT001
    rings_around = sum(Outline(ring).contains_point(place) for ring in coastline())
    assert rings_around % 2 == land


def test_rings_are_closed_and_on_the_map() -> None:
    rings = coastline()
    assert len(rings) > 100
    for ring in rings:
        assert len(ring) >= 4
        assert (ring[0] == ring[-1]).all()
        assert (np.abs(ring) <= (180.0, 90.0)).all()


def test_the_coastline_file_is_small_and_names_its_licence() -> None:
    table = data_file("coastline/coastline.txt")
    assert table.stat().st_size <= 100_000
    assert "public domain" in (table.parent / "README.md").read_text()


POINTS = st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90), st.booleans()), max_size=40)


@given(POINTS)
def test_no_line_runs_across_the_whole_map(points: list[tuple[float, float, bool]]) -> None:
    degrees = np.array([point[:2] for point in points]).reshape(-1, 2)
    track = flat_track(degrees, np.array([point[2] for point in points], dtype=bool))
    steps = np.abs(np.diff(track[:, 0]))
    assert (steps[np.isfinite(steps)] <= 180.0).all()
    assert (np.abs(track[np.isfinite(track[:, 0]), 0]) <= 180.0).all()
    drawn = {tuple(point) for point in track.tolist()}
    assert all(tuple(point) in drawn for point in degrees.tolist())


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_line_over_the_edge_meets_it_at_the_same_latitude_on_both_sides(sign: float) -> None:
    track = flat_track(np.array([[sign * 170.0, 10.0], [sign * -160.0, 40.0]]), np.zeros(2, dtype=bool))
    assert np.isnan(track[2]).all()
    # A third of the 30 degrees between them lies before the edge.
    assert track[[0, 1, 3, 4]] == pytest.approx(
        np.array([[sign * 170.0, 10.0], [sign * 180.0, 20.0], [sign * -180.0, 20.0], [sign * -160.0, 40.0]])
    )


def test_a_gap_precedes_each_new_segment() -> None:
    track = flat_track(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), np.array([False, False, True]))
    assert np.isnan(track[:, 0]).tolist() == [False, False, True, False]
