"""Orbits by uploaded elements: without fixes, before the first fixes, too old, after a restart."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import BatchEnd, GnssFix, Message, OrbitEstimate, UploadedElements
from pygnc.common.mean_elements import MeanElements
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.elements_orbit import elements_state, position_sigma_rtn_m
from pygnc.estimators.orbit.settings import ElementsSettings, OrbitSettings
from pygnc.formats.sense import STANDARD_LAYOUT
from pygnc.inputs.sense_file import sense_messages
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.pipeline import orbit_response
from pygnc_ground.truth.load import load_truth
from tests.demo_elements import DEMO, RECORD_BYTES, demo_elements, without_fixes

RECORDS = 30
SENSE = (DEMO / "sense.bin").read_bytes()[: RECORDS * RECORD_BYTES]
SETTINGS = OrbitSettings()
NONE = EarthOrientationTable.none()
ELEMENTS = demo_elements()
UPLOAD = UploadedElements(0, "pygnc_elements.txt", 140, 1, ELEMENTS, epoch_line=1)


def fixes(sense: bytes) -> list[Message]:
    records = np.frombuffer(sense, STANDARD_LAYOUT.record)
    messages = sense_messages(records, np.arange(len(records)), "sense.bin", STANDARD_LAYOUT, 1, settings=Settings())
    return [message for message in messages if isinstance(message, GnssFix)]


def run(tracker: OrbitTracker, messages: list[Message], first_seq: int = 1) -> list[OrbitEstimate]:
    estimates: list[OrbitEstimate] = []
    for message in messages:
        estimates += orbit_response(tracker, message, first_seq + len(estimates)).estimates
    return estimates


def errors_m(estimates: list[OrbitEstimate]) -> np.ndarray:
    true = load_truth(DEMO / "truth.parquet").at(np.array([estimate.gps_ms for estimate in estimates]))
    return np.array([estimate.position_ecef_m for estimate in estimates]) - true.position_ecef_m


def upload(elements: MeanElements) -> UploadedElements:
    return msgspec.structs.replace(UPLOAD, elements=elements)


def test_gives_an_orbit_within_its_sigma_at_every_packet_without_a_fix() -> None:
    estimates = run(OrbitTracker(SETTINGS, NONE), [UPLOAD, *fixes(without_fixes(SENSE))])
    assert len(estimates) == RECORDS
    assert all(estimate.from_elements and not estimate.accepted for estimate in estimates)
    assert {estimate.cause for estimate in estimates} == {"position_status"}
    assert {estimate.fix_gps_ms for estimate in estimates} == {ELEMENTS.epoch_gps_ms}
    errors = np.linalg.norm(errors_m(estimates), axis=1)
    sigma_m = np.linalg.norm([estimate.position_sigma_m for estimate in estimates], axis=1)
    assert errors.max() < 5_000.0
    assert (errors < 5.0 * sigma_m).all()


def test_without_any_gps_time_the_spacecraft_clock_counts_as_utc() -> None:
    packets = fixes(without_fixes(SENSE, with_time=False))
    estimates = run(OrbitTracker(SETTINGS, NONE), [UPLOAD, *packets])
    assert len(estimates) == RECORDS
    offsets = {estimate.spacecraft_to_gps_ms for estimate in estimates}
    assert len(offsets) == 1
    assert np.linalg.norm(errors_m(estimates), axis=1).max() < 15_000.0
    assert max(estimates[0].position_sigma_m) > 50_000.0
    on_2000 = [msgspec.structs.replace(packet, t_spacecraft_s=946_684_900 + k) for k, packet in enumerate(packets)]
    assert run(OrbitTracker(SETTINGS, NONE), [UPLOAD, *on_2000]) == []


def test_the_first_fixes_take_over_and_give_the_same_orbit_as_without_elements() -> None:
    half = RECORDS // 2 * RECORD_BYTES
    messages = fixes(without_fixes(SENSE[:half]) + SENSE[half:])
    estimates = run(OrbitTracker(SETTINGS, NONE), [UPLOAD, *messages])
    assert [estimate.from_elements for estimate in estimates] == [True] * (RECORDS // 2) + [False] * (RECORDS // 2)
    alone = run(OrbitTracker(SETTINGS, NONE), messages)
    by_fixes = [msgspec.structs.replace(estimate, seq=0) for estimate in estimates if not estimate.from_elements]
    assert by_fixes == [msgspec.structs.replace(estimate, seq=0) for estimate in alone]


@pytest.mark.parametrize(("error_s", "found"), [(0, ""), (-18, "-1"), (18, "+1")])
def test_times_that_are_wrong_from_the_first_fix_on_contradict_the_elements(error_s: int, found: str) -> None:
    tracker = OrbitTracker(SETTINGS, NONE)
    messages = [message for message in fixes(SENSE) if isinstance(message, GnssFix)]
    run(tracker, [UPLOAD, *(message.with_time(-error_s) for message in messages)])
    notices = tracker.take_notices()
    assert [name for _, name, _ in notices] == (["fix_times"] if error_s else [])
    assert all(f"wrong by {found}" in text and "+- 0.1 s" in text for _, _, text in notices)


def test_elements_take_over_again_when_the_last_fix_is_too_old() -> None:
    settings = replace(SETTINGS, start=replace(SETTINGS.start, gap_max_s=100.0))
    half = RECORDS // 2 * RECORD_BYTES
    messages = fixes(SENSE[:half] + without_fixes(SENSE[half:]))
    estimates = run(OrbitTracker(settings, NONE), [UPLOAD, *messages])
    origins = [estimate.from_elements for estimate in estimates]
    assert origins == [False] * (RECORDS // 2 + 4) + [True] * (RECORDS // 2 - 4)


@pytest.mark.parametrize("days", [-31, 31])
def test_elements_of_another_month_are_refused_once_with_line_and_reason(days: int) -> None:
    old = msgspec.structs.replace(ELEMENTS, epoch_gps_ms=ELEMENTS.epoch_gps_ms - days * 86_400_000)
    tracker = OrbitTracker(SETTINGS, NONE)
    assert run(tracker, [upload(old), *fixes(without_fixes(SENSE))]) == []
    ((severity, name, text),) = tracker.take_notices()
    assert (severity, name) == ("error", "elements_refused")
    assert text.startswith("pygnc_elements.txt, line 1: epoch ")
    assert f"31.0 days {'before' if days > 0 else 'after'} the present; the limit is 30" in text
    assert run(tracker, [UPLOAD, *fixes(without_fixes(SENSE))][:3]) != []


def test_a_refused_file_does_not_replace_usable_elements() -> None:
    refused = UploadedElements(0, "pygnc_elements.txt", 3, 2, fault="line 1: no")
    estimates = run(OrbitTracker(SETTINGS, NONE), [UPLOAD, refused, *fixes(without_fixes(SENSE))])
    assert len(estimates) == RECORDS


@pytest.mark.parametrize("cut", [0, 1, 9, 16, 25])
def test_a_restart_anywhere_changes_no_bit(cut: int) -> None:
    half = RECORDS // 2 * RECORD_BYTES
    messages = [UPLOAD, *fixes(without_fixes(SENSE[:half], with_time=False)), *fixes(SENSE[half:])]
    messages.append(BatchEnd(seq=10_000, cause=""))
    undisturbed = run(OrbitTracker(SETTINGS, NONE), messages)
    first = OrbitTracker(SETTINGS, NONE)
    estimates = run(first, messages[:cut])
    second = OrbitTracker(SETTINGS, NONE, first.checkpoint())
    estimates += run(second, messages[cut:], len(estimates) + 1)
    assert msgspec.msgpack.encode(estimates) == msgspec.msgpack.encode(undisturbed)


def test_predicts_the_present_from_elements() -> None:
    tracker = OrbitTracker(SETTINGS, NONE)
    packets = fixes(without_fixes(SENSE))
    assert tracker.predict_to(0) == (None, False)
    run(tracker, [UPLOAD, *packets])
    last = packets[-1]
    assert isinstance(last, GnssFix)
    assert last.t_spacecraft_s is not None
    predicted, more = tracker.predict_to(last.t_spacecraft_s + 600)
    assert predicted is not None
    assert (predicted.from_elements, more) == (True, False)
    assert np.linalg.norm(errors_m([predicted])) < 5_000.0


def test_the_sigma_grows_with_age_and_drag() -> None:
    day_ms = 86_400_000
    frames = EarthFrames(NONE)
    sigma_m = [
        position_sigma_rtn_m(ELEMENTS, ELEMENTS.epoch_gps_ms + days * day_ms, ElementsSettings()) for days in (0, 1, 7)
    ]
    assert sigma_m[0].tolist() == [300.0, 1_000.0, 300.0]
    assert sigma_m[0][1] < sigma_m[1][1] < sigma_m[2][1]
    more_drag = msgspec.structs.replace(ELEMENTS, bstar_per_radius=3.0 * ELEMENTS.bstar_per_radius)
    later_ms = ELEMENTS.epoch_gps_ms + 7 * day_ms
    assert position_sigma_rtn_m(more_drag, later_ms, ElementsSettings())[1] > sigma_m[2][1]
    state = elements_state(ELEMENTS, later_ms, frames, SETTINGS)
    total_m = float(np.sqrt(np.trace(state.covariance[:3, :3])))
    assert total_m == pytest.approx(float(np.linalg.norm(sigma_m[2])))
