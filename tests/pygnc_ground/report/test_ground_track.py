import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.report.ground_track import flat_track

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


def test_the_pen_is_lifted_where_a_new_line_begins() -> None:
    track = flat_track(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), np.array([False, False, True]))
    assert np.isnan(track[:, 0]).tolist() == [False, False, True, False]
