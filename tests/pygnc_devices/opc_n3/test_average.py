"""Averages of histograms: exact, whatever the histograms are cut into."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.declaration import Value
from pygnc_devices.opc_n3.average import average
from pygnc_devices.opc_n3.mass import MassModel
from pygnc_devices.opc_n3.packets import AVERAGE, BINS, HISTOGRAM, PM_NAMES
from pygnc_devices.opc_n3.unit import decode
from pygnc_devices.reading import Reading
from tests.pygnc_devices.opc_n3.vectors import HISTOGRAMS


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
def test_an_average_is_what_one_long_histogram_would_say(samples: list[tuple[list[int], int, int]]) -> None:
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


def test_temperatures_have_mean_and_extremes_and_doubts_are_kept() -> None:
    both = average(
        [reading({"temperature_degc": 20.0}, ("humid",), 1), reading({"temperature_degc": 30.0}, ("humid", "flow"))]
    )
    names = ("temperature_degc", "temperature_min_degc", "temperature_max_degc")
    assert [both.values[name] for name in names] == pytest.approx([25.0, 20.0, 30.0], abs=0.01)
    assert both.flags == ("humid", "flow")
    assert both.lost_before == 1
    assert both.raw == both.raw[:86] + both.raw[86:]
    assert len(both.raw) == 172


def test_without_volume_an_average_is_not_defined() -> None:
    values = average([reading({"flow_ml_s": 0.0})]).values
    assert [values[name] for name in PM_NAMES] == [None] * 3
    assert values["particles_per_cm3"] is None


def test_an_average_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no histogram"):
        average([])
