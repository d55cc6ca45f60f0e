import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.formats.gps_packet import decode_gps_packets
from pygnc.formats.sense import (
    SENSOR_PACKET,
    TORQUERS_ON,
    SenseLayout,
    decode_sensors,
    encode_lux,
    encode_records,
    hall_words,
    lux_from_words,
    milliseconds_from_hall_word,
)
from pygnc.formats.sense_scan import recognise_layout, scan
from tests.pygnc.formats.streams import sense_records
from tests.reference import recording

UNIX_TIME_OF_GPS_EPOCH_S = 315_964_800

# Texas Instruments, OPT3001 data sheet, table "Decoding the result register into lux (example values)".
OPT3001_EXAMPLES = {
    0x0001: 0.01,
    0x0FFF: 40.95,
    0x3456: 88.80,
    0x789A: 2818.56,
    0x8800: 5242.88,
    0x9400: 5242.88,
    0xA200: 5242.88,
    0xB100: 5242.88,
    0xB001: 20.48,
    0xBFFF: 83_865.60,
}


def test_sizes() -> None:
    assert SENSOR_PACKET.itemsize == 30
    assert SenseLayout().size == 251
    assert SenseLayout(terminated=False).size == 249
    assert SenseLayout(1).size == 131
    assert SenseLayout(8, terminated=False).size == 339
    with pytest.raises(ValueError, match="at least 1"):
        SenseLayout(0)


def test_decode_reads_every_word_at_its_offset() -> None:
    packets = b"".join(
        struct.pack(">I", 1_606_694_391 + 5 * k)
        + struct.pack("<7h", 16, -32, 48 + k, 26_000, 656, -1312, k)
        + struct.pack(">6H", 0x0001, 0x3456, 0xBFFF, 0, 0x789A, k)
        for k in range(5)
    )
    record = packets + bytes(99) + b"\r\n"
    samples = decode_sensors(np.frombuffer(record * 2, SenseLayout().record))
    assert samples.t_spacecraft_s.tolist() == [[1_606_694_391 + 5 * k for k in range(5)]] * 2
    np.testing.assert_array_equal(samples.mag_imu_ut[1], [[1.0, -2.0, 3.0 + k / 16.0] for k in range(5)])
    assert (samples.hall_raw == 26_000).all()
    expected_deg_s = [[10.0, -20.0, k / 65.6] for k in range(5)]
    np.testing.assert_allclose(np.rad2deg(samples.gyro_imu_rad_s[0]), expected_deg_s, rtol=1e-12)
    np.testing.assert_allclose(samples.lux[0, 4], [0.01, 88.80, 83_865.60, 0.0, 2818.56, 0.04], rtol=1e-12)


def test_native_types_and_shapes() -> None:
    samples = decode_sensors(sense_records(7))
    assert samples.t_spacecraft_s.shape == samples.hall_raw.shape == (7, 5)
    assert samples.mag_imu_ut.shape == samples.gyro_imu_rad_s.shape == (7, 5, 3)
    assert samples.lux.shape == (7, 5, 6)
    assert samples.t_spacecraft_s.dtype == samples.hall_raw.dtype == np.int64
    assert samples.mag_imu_ut.dtype == samples.gyro_imu_rad_s.dtype == samples.lux.dtype == np.float64


@pytest.mark.parametrize(("word", "lux"), OPT3001_EXAMPLES.items())
def test_light_words_follow_the_data_sheet(word: int, lux: float) -> None:
    assert lux_from_words(word) == pytest.approx(lux, rel=1e-12)


def test_encoded_light_is_rounded_down() -> None:
    """Compare with a search through all words that the sensor can produce."""
    rng = np.random.default_rng(2)
    lux = np.concatenate([rng.uniform(0, 83_866, 300), 10 ** rng.uniform(-2, 4.9, 300), [0.0, 40.95, 40.96, 81.9]])
    words = encode_lux(lux)
    legal = np.sort(lux_from_words(np.arange(0xC000)))
    best = legal[np.searchsorted(legal, lux + 1e-7, side="right") - 1]
    exponents = words >> 12
    assert (lux_from_words(words) <= lux + 1e-7).all()
    assert (lux - lux_from_words(words) < 0.01 * 2.0**exponents).all()
    assert ((exponents == 0) | (lux > 40.95 * 2.0 ** (exponents.astype(float) - 1))).all(), "smallest exponent"
    np.testing.assert_array_less(best - lux_from_words(words), 0.01 * 2.0**exponents)


def test_light_saturates_like_the_sensor() -> None:
    assert encode_lux([-1.0, 0.0, 83_865.60, 83_865.61, 1e9, np.inf]).tolist() == [0, 0, 0xBFFF, 0xBFFF, 0xBFFF, 0xBFFF]
    with pytest.raises(ValueError, match="NaN"):
        encode_lux([1.0, np.nan])


@given(st.integers(0, 0xBFFF))
def test_light_survives_encoding_at_every_exponent(word: int) -> None:
    assert lux_from_words(encode_lux(lux_from_words(word))) == pytest.approx(lux_from_words(word), rel=1e-12)


@pytest.mark.parametrize("layout", [SenseLayout(), SenseLayout(terminated=False), SenseLayout(1), SenseLayout(7)])
def test_encoding_inverts_decoding(layout: SenseLayout) -> None:
    """Test every value of a 16-bit word, and illuminance in its canonical form."""
    records = sense_records(600, layout=layout)
    words = np.resize(np.arange(-(2**15), 2**15), records["sensors"]["gyro"].size)
    records["sensors"]["gyro"] = words.reshape(records["sensors"]["gyro"].shape)
    records["sensors"]["mag"] = words[::-1].reshape(records["sensors"]["mag"].shape)
    records["sensors"]["lux"] = encode_lux(lux_from_words(records["sensors"]["lux"]))
    encoded = encode_records(decode_sensors(records), decode_gps_packets(records["gps"]), layout)
    assert encoded.tobytes() == records.tobytes()


def test_counts_are_rounded_down() -> None:
    samples = decode_sensors(sense_records(1))
    samples.mag_imu_ut[:] = 1.0 / 16 * 2.99
    samples.gyro_imu_rad_s[:] = np.deg2rad(-1 / 65.6 * 0.01)
    packets = encode_records(samples, decode_gps_packets(sense_records(1)["gps"]))["sensors"]
    assert (packets["mag"] == 2).all()
    assert (packets["gyro"] == -1).all()


@pytest.mark.parametrize(
    ("field", "value"), [("mag_imu_ut", 2048.0), ("mag_imu_ut", np.nan), ("gyro_imu_rad_s", 9.0), ("hall_raw", 40_000)]
)
def test_values_beyond_the_range_of_a_field_are_rejected(field: str, value: float) -> None:
    records = sense_records(2)
    samples = decode_sensors(records)
    with pytest.raises(ValueError, match=r"must be"):
        encode_records(
            replace(samples, **{field: getattr(samples, field) * 0 + value}), decode_gps_packets(records["gps"])
        )


@pytest.mark.parametrize(("name", "count"), [("unittest", 5), ("default", 144)])
def test_simulated_reference(name: str, count: int) -> None:
    octets = recording(f"{name}_scenario.bin").read_bytes()
    result = scan(octets)
    assert (len(result.records), result.damage, result.anomalies) == (count, (), ())
    samples, fixes = decode_sensors(result.records), decode_gps_packets(result.records["gps"])
    assert samples.t_spacecraft_s[0, 0] == 1_606_694_391
    assert (np.diff(samples.t_spacecraft_s.ravel()) == 5).all()
    assert fixes.t_spacecraft_s is not None
    np.testing.assert_array_equal(fixes.t_spacecraft_s, samples.t_spacecraft_s[:, -1])
    assert (fixes.gps_week == 2134).all()
    np.testing.assert_array_equal(fixes.gps_tow_ms, 86_401_000 + 25_000 * np.arange(count))
    assert set(zip(fixes.satellites_tracked, fixes.satellites_used, strict=True)) == {(10, 8)}
    assert set(fixes.position_status) == set(fixes.velocity_status) == {1}
    np.testing.assert_allclose(np.linalg.norm(fixes.position_ecef_m, axis=1), 6_928e3, rtol=2e-3)
    assert encode_records(samples, fixes).tobytes() == octets, "light and all is encoded as the fleet's generator does"


def test_recorded_reference() -> None:
    octets = recording("recorded_sense.bin").read_bytes()
    result = scan(octets)
    assert (len(result.records), result.damage) == (33, ())
    assert [(anomaly.record, anomaly.reason.value) for anomaly in result.anomalies] == [(1, "out_of_order")]
    samples, fixes = decode_sensors(result.records), decode_gps_packets(result.records["gps"])
    assert samples.t_spacecraft_s[0, 0] - samples.t_spacecraft_s[1, 0] == 1740
    assert fixes.time_status is not None
    assert fixes.t_spacecraft_s is not None
    assert fixes.time_status.tolist() == [20] * 7 + [120] * 26
    assert fixes.gps_week.tolist() == [0] * 7 + [2283] * 26
    assert set(fixes.position_status) == set(fixes.velocity_status) == {1}
    assert (fixes.satellites_tracked.max(), fixes.satellites_used.max()) == (2, 0)
    assert not fixes.position_ecef_m.any()
    gps_as_unix_s = UNIX_TIME_OF_GPS_EPOCH_S + 604_800 * fixes.gps_week + fixes.gps_tow_ms // 1000
    assert set(gps_as_unix_s[7:] - fixes.t_spacecraft_s[7:]) == {750_356_198}
    assert 0.1 <= samples.lux[samples.lux > 0].min() <= 0.3
    assert 41 <= samples.lux.max() <= 43
    bias_deg_s = np.rad2deg(samples.gyro_imu_rad_s).mean(axis=(0, 1))
    np.testing.assert_allclose(bias_deg_s, [-0.495, 0.051, 0.437], atol=2e-3)
    assert encode_records(samples, fixes).tobytes() == octets


def test_layout_is_recognised() -> None:
    records = sense_records(4)
    assert recognise_layout(records.tobytes()) == SenseLayout()
    assert recognise_layout(np.random.default_rng(0).bytes(300) + records.tobytes()[100:]) == SenseLayout()
    for number in (1, 3, 9):
        layout = SenseLayout(number, terminated=False)
        assert recognise_layout(sense_records(4, layout=layout).tobytes(), number) == layout
    assert recognise_layout(np.random.default_rng(0).bytes(5000)) is None
    assert recognise_layout(b"") is None


@given(st.integers(0, 999), st.booleans())
def test_hall_words_with_times_are_read_back(milliseconds: int, torquers_on: bool) -> None:  # noqa: FBT001 - a drawn value
    (word,) = hall_words(np.array([milliseconds]), np.array([torquers_on])).tolist()
    assert milliseconds_from_hall_word(word) == milliseconds
    assert bool(word & TORQUERS_ON) == torquers_on


@given(st.integers(-(1 << 15), (1 << 15) - 1))
def test_any_other_hall_word_gives_no_milliseconds(word: int) -> None:
    is_valid = word & ~TORQUERS_ON in range(1000)
    assert milliseconds_from_hall_word(word) == (word & ~TORQUERS_ON if is_valid else None)
