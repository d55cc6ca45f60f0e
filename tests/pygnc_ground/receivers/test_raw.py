"""Raw measurements in logs of receivers, against the makers' or other decoders."""

import struct
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pysbf2
import pytest
import pyubx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from novatel_edie import oem

from pygnc_ground.gnss.measurements import (
    HALF_CYCLE,
    L1_WAVELENGTH_M,
    L2_WAVELENGTH_M,
    LOST_LOCK,
    GnssMeasurements,
    ReceiverFacts,
)
from pygnc_ground.receivers.log import scan
from pygnc_ground.receivers.raw import RawLog, RawStream, read_raw
from pygnc_instruments.simulators.receiver_units import ubx_frame
from tests.fakes import raw_logs as fake
from tests.fakes import receiver_logs
from tests.fakes.gnss_measurements import measurements
from tests.fakes.lnav import sent_words, subframe_words
from tests.fakes.receiver_logs import Solution, bestxyzb, nmea
from tests.pygnc_ground.gnss.broadcast_tables import DECODED, SUBFRAMES

_ENCODERS = {
    "ublox": (fake.rawx,),
    "novatel": (fake.range_binary, fake.range_text, fake.range_compressed),
    "septentrio": (fake.meas_epoch,),
}
_CASES = [(protocol, encode) for protocol, encoders in _ENCODERS.items() for encode in encoders]


def table(epochs: int = 4) -> GnssMeasurements:
    """Return measurements whose values all messages can represent: signals of one range with their resolutions."""
    made = measurements(epochs)
    code_m = np.round(made.code_l1_m * 128.0) / 128.0
    near = np.random.default_rng(1).integers(-5000, 5000, (3, len(made)))
    code_p2_m = code_m + near[0] / 128.0
    phase_l1 = np.round(code_m / L1_WAVELENGTH_M * 256.0 + near[1]) / 256.0
    phase_l2 = np.round(code_p2_m / L2_WAVELENGTH_M * 256.0 + near[2]) / 256.0
    return replace(
        made,
        code_l1_m=code_m,
        code_p1_m=np.full(len(made), np.nan),
        code_p2_m=code_p2_m,
        phase_l1_m=L1_WAVELENGTH_M * phase_l1,
        phase_l2_m=L2_WAVELENGTH_M * phase_l2,
        loss_of_lock_l1=np.zeros(len(made), dtype=np.uint8),
        loss_of_lock_l2=np.zeros(len(made), dtype=np.uint8),
        facts=ReceiverFacts(),
    )


def encoded(encode: fake.Encoder, made: GnssMeasurements) -> bytes:
    return b"".join(encode(epoch) for epoch in fake.epochs(made))


def read(content: bytes, folder: Path) -> RawLog:
    """Return the content of a log, after a check of the damaged ranges."""
    path = folder / "receiver.log"
    path.write_bytes(content)
    found = read_raw(path)
    assert all(0 <= one.start < one.stop <= len(content) for one in found.damage)
    assert all(one.stop <= other.start for one, other in pairwise(found.damage))
    return found


def assert_equal(found: GnssMeasurements, expected: GnssMeasurements, abs_m: float = 2e-3) -> None:
    for field in fields(GnssMeasurements):
        if isinstance(value := getattr(expected, field.name), np.ndarray):
            seen = getattr(found, field.name)
            if value.dtype == np.float64:
                np.testing.assert_allclose(seen, value, rtol=0, atol=abs_m, err_msg=field.name)
            else:
                assert seen.tolist() == value.tolist(), field.name


@pytest.mark.parametrize(("protocol", "encode"), _CASES)
def test_what_a_receiver_sends_is_read(protocol: str, encode: fake.Encoder, tmp_path: Path) -> None:
    found = read(encoded(encode, table()), tmp_path)
    assert list(found.measurements) == [protocol]
    assert_equal(found.measurements[protocol], table())
    assert found.damage == ()


@pytest.mark.parametrize(("protocol", "encode"), _CASES)
def test_a_receiver_of_one_frequency(protocol: str, encode: fake.Encoder, tmp_path: Path) -> None:
    found = read(encoded(encode, table().without_l2()), tmp_path)
    assert_equal(found.measurements[protocol], table().without_l2())


def _edie(content: bytes) -> list[dict[str, Any]]:
    parser = oem.Parser()
    parser.decompress_range_cmp = True
    parser.write(content)
    return [message.to_dict() for message in parser if hasattr(message, "to_dict")]


@pytest.mark.parametrize("encode", _ENCODERS["novatel"])
def test_novatel_edie_decodes_the_same(encode: fake.Encoder, tmp_path: Path) -> None:
    content = encoded(encode, table())
    found = read(content, tmp_path).measurements["novatel"]
    rows = [row for message in _edie(content) for row in message["obs"]]
    theirs = {band: [row for row in rows if (_signal(row) == 0) == (band == 1)] for band in (1, 2)}
    assert len(theirs[1]) == len(found)
    for row, (one, two) in enumerate(zip(theirs[1], theirs[2], strict=True)):
        assert found.satellite[row] == f"G{one['sv_prn']:02d}"
        assert one["psr"] == pytest.approx(found.code_l1_m[row], abs=1e-6)
        assert two["psr"] == pytest.approx(found.code_p2_m[row], abs=1e-6)
        assert -one["adr"] * L1_WAVELENGTH_M == pytest.approx(found.phase_l1_m[row], abs=1e-4)
        assert -two["adr"] * L2_WAVELENGTH_M == pytest.approx(found.phase_l2_m[row], abs=1e-4)


def _signal(row: dict[str, Any]) -> int:
    return int(row["c_status"]) >> 21 & 31


def test_pyubx2_decodes_the_same_from_rawx(tmp_path: Path) -> None:
    content = encoded(fake.rawx, table())
    found = read(content, tmp_path).measurements["ublox"]
    row = 0
    for epoch in fake.epochs(table()):
        other = pyubx2.UBXReader.parse(fake.rawx(epoch))
        for number in range(1, other.numMeas + 1):
            code, phase = (getattr(other, f"{name}_{number:02d}") for name in ("prMes", "cpMes"))
            assert found.satellite[row] == f"G{getattr(other, f'svId_{number:02d}'):02d}"
            if getattr(other, f"sigId_{number:02d}") == 0:
                assert (found.code_l1_m[row], found.phase_l1_m[row]) == (code, pytest.approx(phase * L1_WAVELENGTH_M))
            else:
                assert (found.code_p2_m[row], found.phase_l2_m[row]) == (code, pytest.approx(phase * L2_WAVELENGTH_M))
                row += 1
    assert row == len(found)


def test_pysbf2_decodes_the_same_from_meas_epoch(tmp_path: Path) -> None:
    block = encoded(fake.meas_epoch, table(1))
    found = read(block, tmp_path).measurements["septentrio"]
    other = pysbf2.SBFReader.parse(block)
    assert len(found) == other.N1
    for row in range(len(found)):
        low_m, high_m, low, high, cn0 = (
            getattr(other, f"{name}_{row + 1:02d}")
            for name in ("CodeLSB", "CodeMSB", "CarrierLSB", "CarrierMSB", "CN0")
        )
        assert low_m + high_m == pytest.approx(found.code_l1_m[row], abs=1e-6)
        carrier_m = (low + high) * L1_WAVELENGTH_M
        assert low_m + high_m + carrier_m == pytest.approx(found.phase_l1_m[row], abs=1e-6)
        # Their value is without the offset of 10 dB.
        assert cn0 + 10.0 == found.signal_to_noise_l1_db_hz[row]


def test_meas_epoch_is_decoded_to_half_of_its_steps(tmp_path: Path) -> None:
    """Codes have steps of 1 mm, phases of 0.001 cycle, both of the whole range that the block has for them."""
    made = table()
    random = np.random.default_rng(2)
    code_m = made.code_l1_m + random.uniform(-1e6, 1e6, len(made))
    code_p2_m = code_m + random.uniform(-262.0, 262.0, len(made))
    phases_m = [
        of_code + random.uniform(-8_388.0, 8_388.0, len(made)) * wavelength_m
        for of_code, wavelength_m in ((code_m, L1_WAVELENGTH_M), (code_p2_m, L2_WAVELENGTH_M))
    ]
    made = replace(made, code_l1_m=code_m, code_p2_m=code_p2_m, phase_l1_m=phases_m[0], phase_l2_m=phases_m[1])
    found = read(encoded(fake.meas_epoch, made), tmp_path).measurements["septentrio"]
    rounding_m = 1e-8
    for name, step_m in (
        ("code_l1_m", 1e-3), ("code_p2_m", 1e-3),
        ("phase_l1_m", 1e-3 * L1_WAVELENGTH_M), ("phase_l2_m", 1e-3 * L2_WAVELENGTH_M),
    ):  # fmt: skip
        error_m = np.abs(getattr(found, name) - getattr(made, name))
        assert 0.3 * step_m < error_m.max() < 0.5 * step_m + rounding_m, name


def test_two_receivers_and_other_sentences_in_one_log(tmp_path: Path) -> None:
    parts = list[bytes]()
    for epoch in fake.epochs(table()):
        when = Solution(int(epoch.gps_ms[0]), (7e6, 0.0, 0.0), (0.0, 7e3, 0.0))
        parts += [fake.rawx(epoch), nmea("GPTXT,01,01,02,ANTSTATUS=OK"), bestxyzb(when), b"boot 1.2\r\n"]
        parts.append(fake.range_binary(epoch))
    found = read(b"".join(parts), tmp_path)
    assert sorted(found.measurements) == ["novatel", "ublox"]
    for one in found.measurements.values():
        assert_equal(one, table())


def test_a_second_message_about_an_epoch_is_reported(tmp_path: Path) -> None:
    epoch = table(1)
    found = read(fake.rawx(epoch) + fake.rawx(replace(epoch, code_l1_m=epoch.code_l1_m + 5.0)), tmp_path)
    assert_equal(found.measurements["ublox"], epoch)
    assert [one.detail for one in found.damage] == ["UBX of u-blox 02-15: a second message about the same epoch"]


def test_lost_lock_and_half_cycles_are_flagged(tmp_path: Path) -> None:
    locks_ms = (64_500, 64_500, 3_000, 13_000)
    content = b"".join(
        fake.rawx(epoch, lock_ms=lock_ms, state=3 if number == 3 else 7)
        for number, (epoch, lock_ms) in enumerate(zip(fake.epochs(table()), locks_ms, strict=True))
    )
    found = read(content, tmp_path).measurements["ublox"]
    expected = [0, 0, LOST_LOCK, HALF_CYCLE]
    assert found.loss_of_lock_l1.reshape(4, 3)[:, 0].tolist() == expected
    assert found.loss_of_lock_l2.reshape(4, 3)[:, 2].tolist() == expected


def test_measurements_that_are_not_valid_are_missing(tmp_path: Path) -> None:
    found = read(fake.rawx(table(1), state=1), tmp_path).measurements["ublox"]
    assert np.isfinite(found.code_l1_m).all()
    assert np.isnan(found.phase_l1_m).all()


def test_a_log_without_raw_measurements_has_none(tmp_path: Path) -> None:
    for content in (b"", b"text\r\n", fake.rawx(table(1), system=6)):
        assert read(content, tmp_path).measurements == {}


def test_impossible_content_is_reported(tmp_path: Path) -> None:
    good = fake.rawx(table(1))
    wrong = fake.rawx(replace(table(1), gps_ms=table(1).gps_ms + 12_000 * 604_800_000))
    found = read(good + wrong, tmp_path)
    (damage,) = found.damage
    assert (damage.start, damage.stop) == (len(good), len(good) + len(wrong))
    assert "the receiver does not know the time" in damage.detail


# --- Subframes ------------------------------------------------------------------------------------------------------

_FRAMES = [subframe_words(number, 93_600 + 6 * number, SUBFRAMES) for number in (1, 2, 3)]
_MS = 2889 * 604_800_000 + 93_624_000


def _navigation(protocol: str) -> bytes:
    if protocol == "ublox":
        return b"".join(fake.sfrbx(7, sent_words(words, "turned")) for words in _FRAMES)
    if protocol == "novatel":
        return fake.raw_ephemeris(7, _FRAMES, _MS)
    return b"".join(fake.raw_ca(7, sent_words(words), _MS) for words in _FRAMES)


@pytest.mark.parametrize("protocol", ["ublox", "novatel", "septentrio"])
def test_ephemerides_of_the_receivers_own_stream(protocol: str, tmp_path: Path) -> None:
    encode = _ENCODERS[protocol][0]
    found = read(_navigation(protocol) + encode(replace(table(1), gps_ms=np.full(3, _MS))), tmp_path)
    assert found.damage == ()
    (row,) = found.broadcast.table
    for name, value in DECODED.items():
        assert row[name] == pytest.approx(value, rel=1e-12), name
    assert row["toe_gps_ns"] == (2889 * 604_800 + 100_800) * 10**9


def test_a_subframe_with_a_wrong_parity_is_reported(tmp_path: Path) -> None:
    words = sent_words(_FRAMES[0], "turned")
    found = read(fake.rawx(table(1)) + fake.sfrbx(7, [words[0] ^ 64, *words[1:]]), tmp_path)
    assert "the parity of the navigation subframe is wrong" in found.damage[0].detail


# --- Damage ---------------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_logs_give_right_measurements_and_reports(data: st.DataObject, tmp_path: Path) -> None:
    protocol, encode = data.draw(st.sampled_from(_CASES))
    content = bytearray(_navigation(protocol) + encoded(encode, table(6)))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    found = read(cut, tmp_path).measurements.get(protocol)
    if found is None:
        return
    rows = np.flatnonzero(np.isin(table(6).gps_ms, found.gps_ms))
    assert_equal(found, table(6).selected(rows))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ubx=st.sampled_from([b"\x02\x15", b"\x02\x13"]),
    payload=st.binary(max_size=120),
    novatel=st.sampled_from([43, 140, 41]),
    sbf=st.sampled_from([4027, 4017]),
)
def test_any_payload_is_read_or_reported(ubx: bytes, payload: bytes, novatel: int, sbf: int, tmp_path: Path) -> None:
    when = Solution(_MS, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    content = (
        ubx_frame(ubx, payload) + receiver_logs.novatel_binary(novatel, when, payload) + receiver_logs.sbf(sbf, payload)
    )
    text = struct.pack("<B", len(payload)).hex() + "," + payload.hex(",")
    content += receiver_logs.novatel_text("RANGE", when, text) + fake.rawx(table(1))
    found = read(content, tmp_path)
    assert "ublox" in found.measurements


def test_stream_dates_its_ephemerides_anew_once_the_receiver_knows_the_date() -> None:
    seen, stream = table(1), RawStream()
    weeks_ms = 1024 * 604_800_000
    early = replace(seen, gps_ms=seen.gps_ms - weeks_ms)
    for content in (fake.rawx(early), _navigation("ublox"), fake.rawx(replace(early, gps_ms=early.gps_ms + 1000))):
        for frame in scan(content).frames:
            stream.add(frame)
    before = stream.broadcast.table["toe_gps_ns"].copy()
    assert len(before)
    for frame in scan(fake.rawx(seen)).frames:
        assert stream.add(frame) is not None
        assert stream.add(frame) is None
    np.testing.assert_array_equal(stream.broadcast.table["toe_gps_ns"] - before, 1_000_000 * weeks_ms)


def test_stream_keeps_the_newest_ephemerides_and_few_epochs() -> None:
    stream = RawStream()
    for frame in scan(b"".join(fake.rawx(one) for one in fake.epochs(table(60)))).frames:
        stream.add(frame)
    assert len(stream._recent) < 10
