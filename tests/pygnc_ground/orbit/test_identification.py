"""Identification in simulated launches; scripts/bench/bench_identify.py has the figures of many."""

import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.environment.frames import EarthFrames
from pygnc.environment.sgp4 import teme_states
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.orbit.doppler_identification import Doppler, identify_doppler
from pygnc_ground.orbit.element_errors import offsets
from pygnc_ground.orbit.identification import NONE, deciding_measurement
from pygnc_ground.orbit.object_orbits import ElementSets, ErrorModel, fixed_axes
from pygnc_ground.orbit.orbit_identification import Observation, identify_orbit
from scripts.bench.bench_identify import Launch, observed_pass, trials
from tests.pygnc_ground.orbit.test_catalogue import EPOCH_MS, OBJECTS

FRAMES = EarthFrames(ORIENTATION)
LATER_MS = EPOCH_MS + 7_200_000


def test_a_satellite_is_found_among_the_objects_of_its_launch() -> None:
    found = list(trials("orbit", [Launch(35, 0)]))
    assert not any(one.is_certain and not one.is_right for one in found)
    assert all(one.is_right for one in found if one.hours == 24)


@pytest.mark.parametrize("number", [127, 349])
def test_all_sets_of_an_object_decide_together(number: int) -> None:
    # In launch 127 the satellite is missing and an object is near it; in launch 349 all times are wrong by 5 s.
    launch = Launch(90351, number)
    (*_, last) = trials("orbit", [launch])
    assert last.is_right


def test_the_scales_of_the_errors_follow_from_successive_sets() -> None:
    draw = np.random.default_rng(1)
    scale_m = np.array((3000.0, 90.0, 60.0, 60.0, 220.0, 220.0))
    objects, sets = 60, 4
    epochs_ms = np.tile(EPOCH_MS + 6 * 3_600_000 * np.arange(sets), objects)
    elements = [replace(OBJECTS[0], epoch_gps_ms=ms) for ms in epochs_ms.tolist()]
    rows = np.arange(objects * sets).reshape(objects, sets).tolist()
    empty = ElementSets.of(np.zeros((objects * sets, 6)), elements, epochs_ms, int(epochs_ms[-1]), rows)
    differences = draw.normal(size=(objects, 1, 7)) * (200e3, 1e3, 600.0, 600.0, 600.0, 600.0, 60.0)
    errors_m = scale_m * draw.standard_t(3.0, (objects, sets, 6))
    measured = np.einsum("nmij,nkj->nmi", empty.partials, differences) + errors_m
    found = ErrorModel.learnt(empty._replace(measured=measured))
    np.testing.assert_allclose(found.scale_m, scale_m, rtol=0.5)


def test_a_satellite_over_the_equator_has_axes() -> None:
    turns = fixed_axes(np.array([(7e6, 0.0, 0.0, 0.0, 7500.0, 0.0)]))
    np.testing.assert_allclose(turns[0, 4:, 4:], np.eye(2))


@pytest.mark.parametrize("along_m", [-40e3, 0.0, 7e3, 2000e3])
def test_the_offset_along_the_track_is_that_of_moved_elements(along_m: float) -> None:
    one = OBJECTS[0]
    moved = replace(one, mean_anomaly_deg=one.mean_anomaly_deg + np.degrees(along_m / one.semi_major_axis_m))
    states = teme_states(moved, [LATER_MS])
    ((along, axis, *shape),) = offsets(states, [one], [LATER_MS])[0]
    assert along == pytest.approx(along_m, rel=0.01, abs=30.0)
    assert abs(axis) < 10.0
    assert np.abs(shape).max() < max(30.0, 1e-3 * abs(along_m))


def observation(mean_anomaly_deg: float) -> Observation:
    elements = replace(OBJECTS[0], mean_anomaly_deg=mean_anomaly_deg)
    return Observation(LATER_MS, teme_states(elements, [LATER_MS])[0], np.diag(np.repeat((25.0, 2.5e-5), 3)))


def test_two_objects_in_one_orbit_are_ambiguous_in_their_middle() -> None:
    first, second = OBJECTS[0], replace(OBJECTS[1], mean_anomaly_deg=OBJECTS[0].mean_anomaly_deg + 0.01)
    seen = observation(first.mean_anomaly_deg + 0.005)
    found = identify_orbit(lambda _: seen, np.array([LATER_MS]), [first, second], 0.1)
    (one, other, *_) = found.candidates
    assert one.probability == pytest.approx(other.probability, rel=0.05)
    assert {one.name for one in found.likely} >= {first.description, second.description}
    assert "stay within" in deciding_measurement(found)


def test_an_orbit_far_from_all_objects_is_none_of_these() -> None:
    seen = observation(OBJECTS[0].mean_anomaly_deg + 180.0)
    found = identify_orbit(lambda _: seen, np.array([LATER_MS]), OBJECTS, 0.1)
    assert found.best.name == NONE
    assert found.best.probability > 0.3
    assert "Newer elements" in deciding_measurement(found)
    assert sum(one.probability for one in found.candidates) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def launch() -> Launch:
    launch = Launch(5, 2)
    launch.publish(launch.begin_ms + 24 * 3_600_000)
    return launch


@pytest.fixture(scope="module")
def doppler(launch: Launch) -> Doppler:
    return observed_pass(launch, launch.begin_ms + 24 * 3_600_000)


def test_doppler_shifts_of_a_pass_favour_the_object_that_passed(launch: Launch, doppler: Doppler) -> None:
    elements = [one for _, one in launch.sets][:40]
    found = identify_doppler(doppler, elements, 0.1, FRAMES)
    assert found.best.elements is not None
    assert found.best.elements.catalogue_number in launch.ours
    assert abs(found.best.along_m) < 4.0 * found.best.along_sigma_m


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d._replace(gps_ms=d.gps_ms + 2_700_000), "above the horizon of station"),
        (lambda d: d._replace(gps_ms=d.gps_ms[:5], frequency_hz=d.frequency_hz[:5]), "at least 10"),
        (lambda d: d._replace(gps_ms=100 * d.gps_ms), "one pass"),
        (lambda d: d._replace(gps_ms=d.gps_ms // 100), "one pass"),
    ],
)
def test_frequencies_of_no_pass_are_refused(change, reason: str, launch: Launch, doppler: Doppler) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    with pytest.raises(ValueError, match=reason):
        identify_doppler(change(doppler), [one for _, one in launch.sets][:5], 0.1, FRAMES)
