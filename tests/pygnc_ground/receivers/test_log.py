"""Logs of receivers: what each protocol tells, what surrounds it, and what is damaged."""

import json
import math
import random
import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pynmeagps
import pysbf2
import pytest
import pyubx2
from hypothesis import given
from hypothesis import strategies as st
from novatel_edie import oem

from pygnc.bus.messages import GnssFix, SourceFile
from pygnc.common.clock import gps_ms_from_week
from pygnc.configuration.settings import Settings
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc.estimators.orbit.settings import ScreeningSettings
from pygnc.formats.damage import Damage, DamageReason
from pygnc.navigation.screening import screen, screen_velocity
from pygnc_ground.inspection.registry import find_viewer
from pygnc_ground.inspection.sections import HEAD_BYTES
from pygnc_ground.receivers import log as receiver_log
from pygnc_ground.receivers.log import RECEIVER_LOG, read, recognises
from pygnc_ground.replay.inputs import from_files
from pygnc_instruments.simulators.receiver_units import ubx_frame
from tests.fakes import receiver_logs as fake
from tests.fakes.receiver_logs import Solution

_RADIUS_M, _SPEED_MPS, _STEP_MS = 6_878_137.0, 7_600.0, 10_000


def solutions(count: int = 6, first_ms: int = 2400 * 604_800_000 + 86_390_000) -> list[Solution]:
    """Return solutions along a circle, ten seconds apart."""
    found = []
    for number in range(count):
        angle = 0.3 + number * _SPEED_MPS / _RADIUS_M * 1e-3 * _STEP_MS
        along, out = (-math.sin(angle), math.cos(angle)), (math.cos(angle), math.sin(angle))
        position = (_RADIUS_M * out[0], 0.3 * _RADIUS_M * out[1], 0.954 * _RADIUS_M * out[1])
        velocity = (_SPEED_MPS * along[0], 0.3 * _SPEED_MPS * along[1], 0.954 * _SPEED_MPS * along[1])
        found.append(Solution(first_ms + number * _STEP_MS, position, velocity))
    return found


def parts(content: bytes, folder: Path) -> tuple[list[GnssFix], list[Damage]]:
    """Return fixes and damage of a log, after a check that they account for each byte once."""
    path = folder / "receiver.log"
    path.write_bytes(content)
    found = list(read(path))
    damage = [part for part in found if isinstance(part, Damage)]
    assert all(0 <= one.start < one.stop <= len(content) for one in damage)
    assert all(one.stop <= other.start for one, other in pairwise(damage))
    return [part for part in found if isinstance(part, GnssFix)], damage


# --- Each protocol --------------------------------------------------------------------------------------------------

_Encoder = Callable[[Solution], bytes]
FORMATS: dict[str, tuple[_Encoder, float, float, bool]] = {
    "BESTXYZA": (fake.bestxyza, 1e-4, 1e-4, True),
    "BESTXYZB": (fake.bestxyzb, 1e-6, 1e-6, True),
    "BESTPOS and BESTVEL": (fake.bestpos_bestvel, 1e-3, 1e-6, True),
    "NAV-PVT": (fake.nav_pvt, 0.02, 2e-3, True),
    "NAV-SOL": (fake.nav_sol, 0.01, 0.01, True),
    "NAV-POSECEF": (fake.nav_ecef, 0.01, 0.01, True),
    "SkyTraq A8": (fake.navigation_data, 0.01, 0.01, False),
    "SkyTraq DF": (fake.receiver_state, 1e-6, 1e-3, False),
    "PVTCartesian": (fake.pvt_cartesian, 1e-6, 1e-3, True),
}
"""Encoder, resolution of position and velocity, and whether the messages have standard deviations."""


@pytest.mark.parametrize("name", FORMATS)
def test_a_log_gives_the_solutions_within_the_resolution_of_its_format(name: str, tmp_path: Path) -> None:
    encode, position_m, velocity_mps, has_sigma = FORMATS[name]
    expected = solutions()
    content = fake.log(expected, encode)
    assert recognises(content[:400])
    fixes, damage = parts(content, tmp_path)
    assert not damage
    assert [fix.gps_ms for fix in fixes] == [one.gps_ms for one in expected]
    for fix, one in zip(fixes, expected, strict=True):
        assert fix.position_ecef_m == pytest.approx(one.position_m, abs=position_m)
        assert fix.velocity_ecef_mps == pytest.approx(one.velocity_mps, abs=velocity_mps)
        assert screen(fix, ScreeningSettings()) is None
        assert screen_velocity(fix, ScreeningSettings()) is None
        if has_sigma:
            assert fix.position_sigma_m == pytest.approx([one.position_sigma_m] * 3, rel=0.02)


def test_sentences_give_positions_without_velocities(tmp_path: Path) -> None:
    expected = solutions()
    fixes, damage = parts(fake.log(expected, fake.sentences), tmp_path)
    assert not damage
    for fix, one in zip(fixes, expected, strict=True):
        assert fix.gps_ms == one.gps_ms
        assert fix.position_ecef_m == pytest.approx(one.position_m, abs=0.02)
        assert fix.position_sigma_m == pytest.approx([one.position_sigma_m] * 3, abs=0.01)
        assert screen(fix, ScreeningSettings()) is None
        assert screen_velocity(fix, ScreeningSettings()) is RejectCause.VELOCITY_STATUS


# --- Other decoders -------------------------------------------------------------------------------------------------


def _edie(content: bytes) -> list[dict[str, Any]]:
    parser = oem.Parser()
    parser.write(content)
    return [message.to_dict() for message in parser if hasattr(message, "to_dict")]


@pytest.mark.parametrize("encode", [fake.bestxyza, fake.bestxyzb])
def test_novatel_edie_decodes_the_same_from_bestxyz(encode: _Encoder, tmp_path: Path) -> None:
    content = fake.log(solutions(), encode)
    theirs, (ours, _) = _edie(content), parts(content, tmp_path)
    assert len(theirs) == len(ours)
    for other, fix in zip(theirs, ours, strict=True):
        assert (other["x"], other["y"], other["z"]) == pytest.approx(fix.position_ecef_m, abs=1e-9)
        assert (other["x_1"], other["y_1"], other["z_1"]) == pytest.approx(fix.velocity_ecef_mps, abs=1e-9)
        assert (other["x_std_dev"], other["latency"]) == (fix.position_sigma_m[0], fix.velocity_latency_s)
        assert (other["num_svs"], other["num_soln_svs"]) == (fix.satellites_tracked, fix.satellites_used)
        head = other["header"]
        assert gps_ms_from_week(head["week"], round(head["milliseconds"])) == fix.gps_ms


def test_novatel_edie_decodes_the_same_from_bestpos_and_bestvel(tmp_path: Path) -> None:
    content = fake.log(solutions(), fake.bestpos_bestvel)
    theirs, (ours, _) = _edie(content), parts(content, tmp_path)
    for (place, motion), fix in zip(zip(theirs[::2], theirs[1::2], strict=True), ours, strict=True):
        seen = Solution(0, fix.position_ecef_m, fix.velocity_ecef_mps)
        height_m = place["orthometric_height"] + place["undulation"]
        assert seen.geodetic == pytest.approx((place["latitude"], place["longitude"], height_m), abs=1e-6)
        east, north, up = seen.velocity_enu_mps
        assert math.hypot(east, north) == pytest.approx(motion["horizontal_speed"])
        assert math.degrees(math.atan2(east, north)) % 360.0 == pytest.approx(motion["ground_track"])
        assert up == pytest.approx(motion["z"], abs=1e-6)


def test_pyubx2_decodes_the_same_from_nav_pvt_and_nav_sol(tmp_path: Path) -> None:
    expected = solutions()
    for encode in (fake.nav_pvt, fake.nav_sol):
        fixes, _ = parts(fake.log(expected, encode), tmp_path)
        for fix in fixes:
            other = pyubx2.UBXReader.parse(fix.raw)
            if encode is fake.nav_sol:
                assert [other.ecefX, other.ecefVZ] == pytest.approx(
                    [100.0 * fix.position_ecef_m[0], 100.0 * fix.velocity_ecef_mps[2]]
                )
                assert (other.week, other.iTOW) == divmod(fix.gps_ms or 0, 604_800_000)
            else:
                seen = Solution(0, fix.position_ecef_m, fix.velocity_ecef_mps)
                assert seen.geodetic == pytest.approx((other.lat, other.lon, 1e-3 * other.height), abs=1e-3)
                assert seen.velocity_enu_mps[1] == pytest.approx(1e-3 * other.velN, abs=1e-6)
                assert 1e-9 * other.tAcc == pytest.approx(fix.time_sigma_s)
            assert other.numSV == fix.satellites_used


def test_nav_cov_replaces_the_accuracy_of_nav_pvt(tmp_path: Path) -> None:
    (one,) = solutions(1)
    variances = (1.0, 0.0, 0.0, 4.0, 0.0, 9.0)
    payload = struct.pack("<I3B9x12f", one.tow_ms, 0, 1, 1, *variances, *(0.01 * value for value in variances))
    frame = ubx_frame(b"\x01\x36", payload)
    other = pyubx2.UBXReader.parse(frame)
    assert (other.posCovNN, other.posCovEE, other.posCovDD) == (1.0, 4.0, 9.0)
    (fix,), _ = parts(fake.nav_pvt(one) + frame, tmp_path)
    assert sum(sigma**2 for sigma in fix.position_sigma_m) == pytest.approx(14.0, rel=1e-6)
    assert sum(sigma**2 for sigma in fix.velocity_sigma_mps) == pytest.approx(0.14, rel=1e-6)


def test_pysbf2_decodes_the_same_from_pvt_cartesian(tmp_path: Path) -> None:
    expected = solutions()
    fixes, _ = parts(fake.log(expected, fake.pvt_cartesian), tmp_path)
    for fix, one in zip(fixes, expected, strict=True):
        block = fake.pvt_cartesian(one)
        other = pysbf2.SBFReader.parse(block[: int.from_bytes(block[6:8], "little")])
        assert pytest.approx(fix.position_ecef_m) == (other.X, other.Y, other.Z)
        assert (other.Vx, other.Vy, other.Vz) == pytest.approx(fix.velocity_ecef_mps)
        assert (other.TOW, other.WNc, other.NrSV) == (one.tow_ms, one.week, fix.satellites_used)


def test_pynmeagps_decodes_the_same_from_gga(tmp_path: Path) -> None:
    expected = solutions()
    fixes, _ = parts(fake.log(expected, fake.sentences), tmp_path)
    for fix, one in zip(fixes, expected, strict=True):
        other = pynmeagps.NMEAReader.parse(fake.sentences(one).splitlines(keepends=True)[1])
        latitude, longitude, height_m = Solution(0, fix.position_ecef_m, fix.velocity_ecef_mps).geodetic
        assert (latitude, longitude) == pytest.approx((other.lat, other.lon), abs=1e-8)
        assert height_m == pytest.approx(other.alt + other.sep, abs=1e-6)


# --- Logs as they come ----------------------------------------------------------------------------------------------


def test_other_text_and_other_sentences_are_between_the_logs(tmp_path: Path) -> None:
    expected = solutions()
    lines = [
        b"2026-03-16 16:34:45.135: GNSS response (312 chars): <OK\r\n[COM1]" + fake.bestxyza(one) for one in expected
    ]
    other = fake.nmea("GPGSV,1,1,02,05,45,120,40,12,30,240,38") + ubx_frame(b"\x02\x15", bytes(16))
    fixes, damage = parts(other.join(lines), tmp_path)
    assert [fix.gps_ms for fix in fixes] == [one.gps_ms for one in expected]
    assert {one.reason for one in damage} == {DamageReason.FOREIGN}


def test_a_log_in_json_is_read(tmp_path: Path) -> None:
    expected = solutions()
    content = "\n".join(json.dumps({"reply": fake.bestxyza(one).decode()}) for one in expected).encode()
    fixes, _ = parts(content, tmp_path)
    assert [fix.position_ecef_m for fix in fixes] == [pytest.approx(one.position_m, abs=1e-4) for one in expected]


def test_a_log_in_json_within_json_and_in_replies_to_telecommands_is_read(tmp_path: Path) -> None:
    expected = solutions()
    lines = []
    for number, one in enumerate(expected):
        reply = json.dumps({"cmd": "gnss_send", "rsp": f"<OK\r\n[COM1]{fake.bestxyza(one).decode()}[COM1]"})
        lines.append(json.dumps({"seq": number, "t": 1e9 + number, "payload": f"RES:{number}:{reply}#"}))
    fixes, damage = parts("\n".join(lines).encode(), tmp_path)
    assert [fix.position_ecef_m for fix in fixes] == [pytest.approx(one.position_m, abs=1e-4) for one in expected]
    assert {one.reason for one in damage} == {DamageReason.FOREIGN}


def test_a_sentence_that_a_wrapper_cuts_costs_only_itself(tmp_path: Path) -> None:
    expected = solutions()
    whole = [fake.bestxyza(one) for one in expected]
    whole[2] = whole[2][:180] + b'"}\n{"seq": 8, "data": "' + whole[2][180:]
    fixes, damage = parts(b"".join(whole), tmp_path)
    assert [fix.gps_ms for fix in fixes] == [one.gps_ms for k, one in enumerate(expected) if k != 2]
    assert (damage[0].start, damage[-1].stop) == (len(b"".join(whole[:2])), len(b"".join(whole[:3])))


def test_messages_of_two_receivers_of_one_make_alternate(tmp_path: Path) -> None:
    first = solutions()
    shifted = [one._replace(gps_ms=one.gps_ms + 250) for one in first]
    same = [one._replace(position_m=(one.position_m[0] + 1.0, *one.position_m[1:])) for one in first]
    for second in (shifted, same):
        pairs = [(fake.bestpos_bestvel(a), fake.bestpos_bestvel(b)) for a, b in zip(first, second, strict=True)]
        cuts = [(a[:-_BESTVEL], b[:-_BESTVEL], a[-_BESTVEL:], b[-_BESTVEL:]) for a, b in pairs]
        fixes, damage = parts(b"".join(octets for cut in cuts for octets in cut), tmp_path)
        assert not damage
        assert len(fixes) == 12
        assert {fix.velocity_solution for fix in fixes} == {"computed"}


_BESTVEL = 28 + 44 + 4
"""Length of BESTVEL in binary."""


@pytest.mark.parametrize("seed", range(5))
def test_messages_of_four_epochs_in_any_order_are_put_together(seed: int, tmp_path: Path) -> None:
    expected = solutions(24)
    dice, messages = random.Random(seed), []  # noqa: S311 - no secrets
    for at in range(0, 24, 4):
        epochs = [fake.nav_ecef(one) for one in expected[at : at + 4]]
        messages += dice.sample([part for one in epochs for part in (one[:28], one[28:56], one[56:])], 12)
    fixes, damage = parts(b"".join(messages), tmp_path)
    assert not damage
    assert sorted(fix.gps_ms or 0 for fix in fixes) == [one.gps_ms for one in expected]
    assert {fix.velocity_solution for fix in fixes} == {"computed"}


def test_two_receivers_in_one_file_give_the_fixes_of_both(tmp_path: Path) -> None:
    expected = solutions()
    fixes, damage = parts(fake.log(expected, fake.bestxyzb, fake.nav_sol, fake.sentences), tmp_path)
    assert not damage
    assert sorted(fix.kind for fix in fixes) == sorted(["novatel BESTXYZB", "ublox NAV-SOL", "nmea GGA"] * 6)


def test_epochs_in_another_order_are_all_read(tmp_path: Path) -> None:
    expected = solutions()
    fixes, _ = parts(fake.log(expected[3:] + expected[:3], fake.nav_ecef), tmp_path)
    assert sorted(fix.gps_ms or 0 for fix in fixes) == [one.gps_ms for one in expected]


@pytest.mark.parametrize("encode", [fake.nav_ecef, fake.sentences])
def test_a_new_week_and_a_new_day_begin_within_the_log(encode: _Encoder, tmp_path: Path) -> None:
    expected = solutions(6, 2401 * 604_800_000 - 30_000 + (18_000 if encode is fake.sentences else 0))
    # Only the first epoch states week or date.
    first, *others = [encode(one) for one in expected]
    if encode is fake.nav_ecef:
        others = [content[:56] for content in others]
    else:
        others = [b"".join(content.splitlines(keepends=True)[1:2]) for content in others]
    fixes, damage = parts(first + b"".join(others), tmp_path)
    assert not damage
    assert [fix.gps_ms for fix in fixes] == [one.gps_ms for one in expected]


def test_the_date_of_a_sentence_after_midnight_belongs_to_its_own_epoch(tmp_path: Path) -> None:
    midnight_ms = 2400 * 604_800_000 + 86_400_000 + 18_000
    expected = solutions(4, midnight_ms - 20_000)
    content = b"".join(b"".join(sorted(fake.sentences(one).splitlines(keepends=True))) for one in expected)
    fixes, _ = parts(content, tmp_path)
    assert [fix.gps_ms for fix in fixes] == [one.gps_ms for one in expected]


# --- Solutions that are none ----------------------------------------------------------------------------------------


def test_plausible_numbers_without_enough_observations_are_no_position(tmp_path: Path) -> None:
    (one,) = solutions(1)
    (fix,), _ = parts(fake.bestxyza(one, "INSUFFICIENT_OBS"), tmp_path)
    assert screen(fix, ScreeningSettings()) is RejectCause.POSITION_STATUS


@pytest.mark.parametrize(
    ("status", "sigma_s"), [("FREEWHEELING", 1e-2), ("COARSE", 1e-2), ("APPROXIMATE", 1.0), ("UNKNOWN", math.inf)]
)
def test_the_status_of_the_clock_is_its_standard_deviation(status: str, sigma_s: float, tmp_path: Path) -> None:
    (one,) = solutions(1)
    (fix,), _ = parts(fake.bestxyza(one, status=status), tmp_path)
    assert fix.time_sigma_s == sigma_s


@pytest.mark.parametrize("kind", ["NONE", "FIXEDPOS", "PROPAGATED"])
def test_a_position_without_a_measurement_is_none(kind: str, tmp_path: Path) -> None:
    (one,) = solutions(1)
    (fix,), _ = parts(fake.bestxyza(one, kind=kind), tmp_path)
    assert screen(fix, ScreeningSettings()) is RejectCause.POSITION_STATUS
    assert fix.position_solution == kind.lower()


@pytest.mark.parametrize("fix_type", [0, 1, 2, 5])
def test_a_receiver_without_a_3d_fix_gives_no_position(fix_type: int, tmp_path: Path) -> None:
    (one,) = solutions(1)
    (fix,), _ = parts(fake.nav_pvt(one, fix_type), tmp_path)
    assert screen(fix, ScreeningSettings()) is RejectCause.POSITION_STATUS


def test_the_offset_of_a_free_running_clock_corrects_the_time(tmp_path: Path) -> None:
    (one,) = solutions(1)
    time = fake.novatel_text("TIME", one, "VALID,2.03e-02,1.0e-09,-18.0,2026,3,20,9,1,28000,VALID")
    (fix,), _ = parts(fake.bestxyza(one) + time, tmp_path)
    # The clock is fast: the satellite was there 20.3 ms before the stated time.
    assert fix.gps_ms == one.gps_ms - 20
    expected = np.array(one.position_m) + 3e-4 * np.array(one.velocity_mps)
    assert fix.position_ecef_m == pytest.approx(expected, abs=1e-3)
    assert fix.velocity_ecef_mps == pytest.approx(one.velocity_mps, abs=1e-4)
    assert fix.time_sigma_s == pytest.approx(1e-9)


def test_a_fix_before_the_receiver_knows_the_date_has_no_time(tmp_path: Path) -> None:
    (one,) = solutions(1)
    frame = bytearray(fake.nav_pvt(one))
    frame[6 + 11] = 0
    (fix,), _ = parts(ubx_frame(b"\x01\x07", bytes(frame[6:-2])), tmp_path)
    assert fix.gps_ms is None
    assert screen(fix, ScreeningSettings()) is RejectCause.NO_TIME


# --- Damage ---------------------------------------------------------------------------------------------------------


def _delivered(content: bytes, folder: Path) -> set[bytes]:
    return {fix.raw for fix in parts(content, folder)[0]}


@given(
    st.sampled_from(list(FORMATS)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3),
    st.binary(max_size=40),
    st.floats(0, 1),
)
def test_damage_costs_the_epochs_that_it_touches_only(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    flips: Sequence[tuple[float, int]],
    noise: bytes,
    place: float,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    encode = FORMATS[name][0]
    epochs = [encode(one) for one in solutions(5)]
    content = bytearray(b"".join(epochs))
    touched = set()
    begins = np.cumsum([0, *map(len, epochs)])
    for where, value in flips:
        at = min(int(where * len(content)), len(content) - 1)
        content[at] ^= value
        touched.add(int(np.searchsorted(begins, at, "right")) - 1)
    at = int(place * len(content))
    touched.add(min(int(np.searchsorted(begins, at, "right")) - 1, len(epochs) - 1))
    whole = {raw for number, raw in enumerate(epochs) if number not in touched}
    found = _delivered(bytes(content[:at]) + noise + bytes(content[at:]), folder)
    assert {raw.replace(b"\r\n", b"") for raw in whole} <= {raw.replace(b"\r\n", b"") for raw in found}


@pytest.mark.parametrize("seed", range(6))
def test_the_bytes_of_a_damaged_log_add_up(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secrets
    content = bytearray(b"boot\r\n".join(fake.log(solutions(4), encode) for encode, *_ in FORMATS.values()))
    for _ in range(40):
        at = dice.randrange(len(content))
        match dice.randrange(4):
            case 0:
                content[at] ^= 1 << dice.randrange(8)
            case 1:
                del content[at : at + dice.randrange(60)]
            case 2:
                content[at:at] = dice.randbytes(dice.randrange(60))
            case _:
                content[at:at] = content[at : at + dice.randrange(200)]
    path = tmp_path / "receiver.log"
    path.write_bytes(content)
    inputs = from_files([path], None, Settings())
    (source,) = (message for message in inputs.messages if isinstance(message, SourceFile))
    assert source.delivered_bytes + source.damaged_bytes == source.size_bytes == len(content)
    _, damage = parts(bytes(content), tmp_path)
    assert sum(one.stop - one.start for one in damage) == source.damaged_bytes


def test_a_log_among_many_zeros_is_found_by_its_offset(tmp_path: Path) -> None:
    path, expected, begin = tmp_path / "card.img", solutions(2), 32 << 20
    first, last = (fake.bestxyzb(one) for one in expected)
    with path.open("wb") as file:
        file.write(first)
        file.seek(begin)
        file.write(last[:-3])
    found = list(read(path))
    assert [part.offset for part in found if isinstance(part, GnssFix)] == [0]
    damage = [part for part in found if isinstance(part, Damage)]
    assert [(one.start, one.stop) for one in damage] == [(len(first), begin + len(last) - 3)]


def test_a_log_whose_first_frame_comes_late_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "console.txt"
    path.write_bytes(b"boot: waiting\r\n" * 40_000 + b"".join(fake.bestxyza(one) for one in solutions(2)))
    assert path.stat().st_size > 2 * HEAD_BYTES
    inputs = from_files([path], None, Settings())
    assert sum(isinstance(message, GnssFix) for message in inputs.messages) == 2
    assert find_viewer(path).kind == RECEIVER_LOG.kind


@given(st.binary(max_size=3000))
def test_noise_gives_damage_and_no_fix(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    fixes, damage = parts(content, tmp_path_factory.getbasetemp())
    assert not fixes
    ends = sum(one.stop - one.start for one in damage)
    assert ends + content[: len(content) - ends].count(b"\n") >= ends


def test_the_result_does_not_depend_on_the_pieces_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"text\r\n".join(fake.log(solutions(4), encode) for encode, *_ in FORMATS.values())[:-11]
    whole = parts(content, tmp_path)
    for size in (1, 7, 97):
        monkeypatch.setattr(receiver_log, "_CHUNK_BYTES", size)
        assert parts(content, tmp_path) == whole
    assert whole[1][-1].reason is DamageReason.CUT_TAIL
