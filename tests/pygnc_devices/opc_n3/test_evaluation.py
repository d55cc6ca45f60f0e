"""Histograms of real counters: values, checksum, mass from counts, flags.

Averages of histograms are exact for any division into histograms.
"""

import itertools
import math
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.declaration import Value
from pygnc_devices.framing import scan_to_end
from pygnc_devices.opc_n3.evaluation import (
    CLIMATE,
    FACTORY_BOUNDARIES_UM,
    FLOW,
    FULL,
    HUMID,
    LASER,
    MASS_DIFFERS,
    NO_PARTICLES,
    NO_VOLUME,
    PERIOD,
    MassModel,
    average,
    counts_of,
    flags,
    number_concentrations,
    permille,
    volume_ml,
)
from pygnc_devices.opc_n3.framing import crc16, is_intact, scan_histograms
from pygnc_devices.opc_n3.packets import AVERAGE, BINS, CONFIGURATION, HISTOGRAM, PM, PM_NAMES
from pygnc_devices.opc_n3.unit import decode
from pygnc_devices.reading import Reading
from pygnc_instruments.simulators.opc_n3_unit import factory_configuration, masses
from tests.pygnc_devices.opc_n3.vectors import HISTOGRAMS, INTACT

EXPECTED: dict[int, tuple[float, ...]] = {
    1: (24.968, 49.798, 5.06, 4.30, 1.5068, 4.5628, 24.8814),
    2: (25.630, 46.123, 18.50, 4.29, 0.2005, 0.5359, 1.7510),
    4: (22.922, 55.058, 1.86, 3.69, 0.0, 0.0, 0.0),
    5: (31.225, 40.822, 0.51, 9.37, 0.29057, 1.23572, 1.63377),
}
CHECKSUMS = {1: 0x8385, 2: 0xBF90, 4: 0xBAD3, 5: 0x88E0}
PERMILLE = {
    1.0: [975, 908, 660, 352, 151, 41, 7] + [0] * 17,
    2.5: [987, 983, 972, 939, 857, 668, 410, 184, 58, 15, 3] + [0] * 13,
    10.0: [987, 983, 975, 966, 956, 943, 926, 900, 855, 772, 647, 476, 308, 188, 111, 64, 37, 21, 10, 4, 2, 1, 0, 0],
}


def spoilt(number: int, **words: int) -> dict[str, Any]:
    """Return the values of a histogram after words were replaced."""
    values: dict[str, Any] = HISTOGRAM.decode(HISTOGRAMS[number]) | words
    return values


def test_the_checksum_matches_the_catalogue() -> None:
    assert crc16(b"123456789") == 0x4B37


@pytest.mark.parametrize("number", INTACT)
def test_decodes_a_real_histogram(number: int) -> None:
    raw = HISTOGRAMS[number]
    assert is_intact(raw)
    values = decode(raw)
    assert values["checksum"] == CHECKSUMS[number]
    names = ("temperature_degc", "humidity_percent", "period_s", "flow_ml_s", *PM_NAMES)
    assert [values[name] for name in names] == pytest.approx(EXPECTED[number], abs=6e-4)


def test_decodes_counts_rejects_and_times_of_flight() -> None:
    values = decode(HISTOGRAMS[1])
    assert counts_of(values)[:7] == (135, 31, 29, 13, 9, 5, 1)
    rejects = [values[f"reject_{name}"] for name in ("glitch", "long_tof", "ratio", "out_of_range")]
    assert rejects == [9, 3, 187, 30]
    assert [values[f"mtof_bin_{k}_us"] for k in (1, 3, 5, 7)] == pytest.approx([9, 29 / 3, 11, 0])
    assert (values["fan_rev_count"], values["laser_status"]) == (0, 620)


def test_rejects_a_cut_histogram() -> None:
    assert crc16(HISTOGRAMS[3][:-2]) == 0x5F4F
    assert not is_intact(HISTOGRAMS[3])
    assert scan_to_end(scan_histograms, HISTOGRAMS[3]).frames == ()


@pytest.mark.parametrize("number", INTACT)
def test_rejects_every_single_flipped_bit(number: int) -> None:
    raw = HISTOGRAMS[number]
    for at in range(len(raw)):
        for bit in range(8):
            assert not is_intact(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :])


@given(st.binary(max_size=400))
def test_never_raises_on_any_bytes(octets: bytes) -> None:
    assert scan_to_end(scan_histograms, octets).used == len(octets)


@pytest.mark.parametrize("cut_um", PERMILLE)
def test_the_mass_fraction_is_that_of_the_firmware(cut_um: float) -> None:
    bins = itertools.pairwise(FACTORY_BOUNDARIES_UM)
    assert [permille((low + high) / 2, cut_um) for low, high in bins] == PERMILLE[cut_um]


@pytest.mark.parametrize("number", [1, 2, 5])
def test_mass_from_counts_equals_the_firmware_to_single_precision(number: int) -> None:
    values = decode(HISTOGRAMS[number])
    said = [float(values[name]) for name in PM_NAMES]  # type: ignore[arg-type]
    computed = MassModel().concentrations_ug_m3(counts_of(values), volume_ml(values))
    assert computed == pytest.approx(said, rel=4e-7)


def test_number_concentrations_are_counts_per_volume() -> None:
    concentrations = number_concentrations(decode(HISTOGRAMS[1]))
    assert concentrations[0] == pytest.approx(135 / (5.06 * 4.30))
    assert concentrations[23] == 0.0


@pytest.mark.parametrize("name", ["period_s", "flow_ml_s"])
def test_concentrations_without_volume_are_none(name: str) -> None:
    raw = HISTOGRAM.encode(spoilt(1, **{name: 0}))
    values = decode(raw)
    assert number_concentrations(values) == (None,) * 24
    assert [values[pm] for pm in PM_NAMES] == [None] * 3
    assert NO_VOLUME in flags(values, MassModel(), None)


@given(st.binary(min_size=86, max_size=86))
def test_any_histogram_has_values_and_flags(raw: bytes) -> None:
    values = decode(raw)
    assert all(value is None or math.isfinite(value) for value in values.values())  # type: ignore[arg-type]
    flags(values, MassModel(), 5.0)
    number_concentrations(values)


def test_a_good_histogram_has_no_flags() -> None:
    assert flags(decode(HISTOGRAMS[1]), MassModel(), 5.06 / 0.498) == ()
    assert flags(decode(HISTOGRAMS[1]), MassModel(), None) == ()


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ({"laser_status": 0}, LASER),
        ({"flow_ml_s": 15.0}, FLOW),
        ({"humidity_percent": 90.0}, HUMID),
        ({"temperature_degc": -45.0}, CLIMATE),
        ({"bin_0": 65535}, FULL),
        ({"bin_5": 6}, MASS_DIFFERS),
        ({"pm_10_ug_m3": 24.88}, MASS_DIFFERS),
        ({f"bin_{k}": 0 for k in range(24)}, NO_PARTICLES),
    ],
)
def test_flags_doubtful_histograms(words: dict[str, int], flag: str) -> None:
    assert flag in flags(spoilt(1, **words), MassModel(), None)


@pytest.mark.parametrize(
    ("elapsed_s", "fits"), [(10.16, True), (10.65, True), (5.06, True), (7.5, False), (60.0, False)]
)
def test_the_sampling_period_is_half_or_all_of_the_time(elapsed_s: float, fits: bool) -> None:  # noqa: FBT001 - a parameter
    assert (PERIOD in flags(decode(HISTOGRAMS[1]), MassModel(), elapsed_s)) is not fits


def test_mass_follows_the_density_in_the_configuration() -> None:
    configuration = CONFIGURATION.decode(
        CONFIGURATION.encode(factory_configuration() | dict.fromkeys((f"weighting_{k}" for k in range(24)), 1.0))
    )
    model = MassModel.from_configuration(configuration)
    values = decode(HISTOGRAMS[1])
    light = model.concentrations_ug_m3(counts_of(values), volume_ml(values))
    assert light == pytest.approx([float(values[name]) / 1.65 for name in PM_NAMES], rel=1e-6)  # type: ignore[arg-type]
    assert MASS_DIFFERS in flags(values, model, None)


def test_computes_mass_for_other_cut_diameters() -> None:
    values = decode(HISTOGRAMS[1])
    counts, volume = counts_of(values), volume_ml(values)
    (pm_4,) = MassModel(cuts_um=(4.25,)).concentrations_ug_m3(counts, volume)
    _, pm_2_5, pm_10 = MassModel().concentrations_ug_m3(counts, volume)
    assert pm_2_5 is not None
    assert pm_4 is not None
    assert pm_10 is not None
    assert pm_2_5 < pm_4 < pm_10


def test_mass_concentrations_have_the_same_checksum() -> None:
    body = struct.pack("<3f", 1.5, 4.5, 24.5)
    octets = body + struct.pack("<H", crc16(body))
    assert is_intact(octets)
    assert [PM.decode(octets)[name] for name in PM_NAMES] == [1.5, 4.5, 24.5]


def test_the_simulated_counter_computes_mass_like_real_ones() -> None:
    values = HISTOGRAM.decode(HISTOGRAMS[1])
    said = [float(values[name]) for name in PM_NAMES]
    found = masses(factory_configuration(), counts_of(values), volume_ml(values))
    assert found == pytest.approx(said, rel=4e-7)


def reading(values: Mapping[str, Value], flags: tuple[str, ...] = (), lost: int = 0) -> Reading:
    raw = HISTOGRAM.encode({**HISTOGRAM.decode(HISTOGRAMS[1]), **values})
    return Reading(HISTOGRAM, raw, decode(raw), 1, 2, lost_before=lost, flags=flags)


def test_equal_histograms_have_their_own_average() -> None:
    one = average([reading({})])
    three = average([reading({})] * 3)
    assert three.values["samples"] == 3
    assert [three.values[name] for name in PM_NAMES] == pytest.approx([one.values[name] for name in PM_NAMES])
    assert one.values["pm_10_ug_m3"] == pytest.approx(24.881427, rel=1e-6)
    assert three.values["bin_0"] == 3 * 135
    assert three.values["period_s"] == pytest.approx(15.18)
    assert three.values.keys() == {field.name for field in AVERAGE.fields}


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 999), min_size=BINS, max_size=BINS), st.integers(1, 999), st.integers(1, 999)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_an_average_equals_one_long_histogram(samples: list[tuple[list[int], int, int]]) -> None:
    readings = [
        reading(
            {f"bin_{k}": count for k, count in enumerate(counts)} | {"period_s": period / 100, "flow_ml_s": flow / 100}
        )
        for counts, period, flow in samples
    ]
    counts = [sum(column) for column in zip(*(counts for counts, _, _ in samples), strict=True)]
    volume = sum(period * flow for _, period, flow in samples) / 10_000
    values = average(readings).values
    assert values["volume_ml"] == pytest.approx(volume)
    assert [values[name] for name in PM_NAMES] == pytest.approx(MassModel().concentrations_ug_m3(counts, volume))
    assert values["particles_per_cm3"] == pytest.approx(sum(counts) / volume)


def test_a_mean_of_masses_would_be_wrong() -> None:
    short, long = reading({"period_s": 0.5}), reading({"period_s": 9.5})
    mean = (50 * 24.88 + 24.88) / 2
    assert average([short, long]).values["pm_10_ug_m3"] == pytest.approx(24.881427 * 5.06 * 2 / 10.0, rel=1e-5)
    assert average([short, long]).values["pm_10_ug_m3"] != pytest.approx(mean, rel=0.1)


def test_an_average_has_temperature_extremes_and_all_flags() -> None:
    both = average(
        [reading({"temperature_degc": 20.0}, ("humid",), 1), reading({"temperature_degc": 30.0}, ("humid", "flow"))]
    )
    names = ("temperature_degc", "temperature_min_degc", "temperature_max_degc")
    assert [both.values[name] for name in names] == pytest.approx([25.0, 20.0, 30.0], abs=0.01)
    assert both.flags == ("humid", "flow")
    assert both.lost_before == 1
    assert both.raw == both.raw[:86] + both.raw[86:]
    assert len(both.raw) == 172


def test_an_average_without_volume_is_undefined() -> None:
    values = average([reading({"flow_ml_s": 0.0})]).values
    assert [values[name] for name in PM_NAMES] == [None] * 3
    assert values["particles_per_cm3"] is None


def test_rejects_an_average_of_nothing() -> None:
    with pytest.raises(ValueError, match="readings is empty"):
        average([])
