"""Lines that hold, lose and delay packets: rows and counted losses are all packets, and the time is the unit's."""

from functools import cache
from itertools import pairwise
from random import Random
from typing import NamedTuple

import pytest

from pygnc_devices.continuity import Continuity
from pygnc_devices.engine import readings_in
from pygnc_devices.family import family
from pygnc_devices.framing import scan_to_end
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_instruments.device.simulate_command import SIMULATORS
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit

MODELS = {
    "dmu380": "ucb",
    "imu383": "ucb",
    "3dm-gx2": "gx2",
    "3dm-cv7": "mip",
    "vn-100-binary": "vectornav",
    "mti-30": "xsens",
    "monodrive": "monodrive",
    "zed-f9p": "ublox",
}
FAMILIES = {
    "openimu": "ucb",
    "3dm-gx3-25": "gx2",
    "3dm-gx4": "mip",
    "vn-300": "vectornav",
    "mti-680": "xsens",
    "oem719": "novatel",
    "venus8": "skytraq",
}
"""Further models."""
CONNECTED_S = 1000.0
"""Host time at which the unit has started."""


class Sent(NamedTuple):
    """A packet: time at which it was sent since the start of the unit, s, its arrival, s, and its bytes."""

    sent_s: float
    arrival_s: float
    octets: bytes


def packets(unit: SimulatedUnit, seconds: float) -> list[Sent]:
    """Return packets that arrive with a jitter of 2 ms."""
    random = Random(1)  # noqa: S311 - repeatable delays
    sent = []
    while (at_s := unit.next_s()) < seconds:
        sent.append(Sent(at_s, at_s + random.uniform(0.001, 0.003), unit.run(at_s)))
    return sent


def rate(model: str) -> float:
    return 5.0 if model == "zed-f9p" else 100.0


@cache
def stream(model: str) -> list[Sent]:
    """Return 20 s of packets; more of the slow receiver."""
    return packets(SIMULATORS[model](), 20.0 if rate(model) > 50.0 else 200.0)


def held(sent: list[Sent], begin_s: float, end_s: float, kept: int = 1 << 30, *, newest: bool = False) -> list[Sent]:
    """Hold packets that arrive between two times; the buffer keeps the oldest or the newest `kept` of them."""
    before = [entry for entry in sent if entry.arrival_s < begin_s]
    waiting = [entry._replace(arrival_s=end_s) for entry in sent if begin_s <= entry.arrival_s < end_s]
    return before + (waiting[-kept:] if newest else waiting[:kept]) + sent[len(before) + len(waiting) :]


class Trial:
    """Driver's interpretation of packets that arrive at given times."""

    def __init__(self, family_name: str) -> None:
        self.family = family(family_name)
        self.interpreter = self.family.interpreter(115200)
        if isinstance(self.interpreter, UcbUnit):
            self.interpreter.period_ns = 10_000_000
        self.continuity = Continuity()
        self.sent: list[Sent] = []
        self.readings: list[Reading] = []

    def receive(self, sent: list[Sent]) -> "Trial":
        for entry in sent:
            t_ns = round((CONNECTED_S + entry.arrival_s) * 1e9)
            for frame in scan_to_end(self.family.scanner, entry.octets).frames:
                for reading in readings_in(self.interpreter.interpret(frame, Stamp(t_ns, t_ns), Counters())):
                    self.sent.append(entry)
                    self.readings.append(self.continuity.follow(reading))
        return self

    def reconnect(self) -> None:
        self.interpreter.reconnected()
        self.continuity.interrupt()

    def missing(self) -> int:
        return sum(reading.lost_before for reading in self.readings)

    def time_error_s(self) -> float:
        """Return the error of the step from the tenth to the last reading; the tick of the clock is then known."""
        first, last = self.readings[10], self.readings[-1]
        assert first.t_device_ns is not None
        assert last.t_device_ns is not None
        return (last.t_device_ns - first.t_device_ns) / 1e9 - (self.sent[-1].sent_s - self.sent[10].sent_s)

    def check(self, hz: float = 100.0) -> None:
        times = [reading.t_device_ns for reading in self.readings if reading.t_device_ns is not None]
        assert all(before < after for before, after in pairwise(times))
        assert self.time_error_s() == pytest.approx(0.0, abs=0.002)
        assert len(self.readings) + self.missing() == round((self.sent[-1].sent_s - self.sent[0].sent_s) * hz) + 1


@pytest.mark.parametrize("model", MODELS)
def test_a_line_that_holds_packets_loses_none(model: str) -> None:
    trial = Trial(MODELS[model]).receive(held(stream(model), 5.0, 15.0))
    trial.check(rate(model))
    assert trial.missing() == 0


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_an_overflow_is_a_gap_and_not_a_restart(model: str, *, newest: bool) -> None:
    trial = Trial(MODELS[model]).receive(held(stream(model), 5.0, 15.0, 20, newest=newest))
    trial.check(rate(model))
    assert trial.missing() >= round(10.0 * rate(model)) - 20
    assert not any(reading.is_estimate for reading in trial.readings)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "imu383"])  # see docs/devices.md
def test_an_overflow_on_a_line_that_is_late_from_the_beginning_is_a_gap(model: str) -> None:
    Trial(MODELS[model]).receive(held(stream(model), 0.0, 12.0, 20)).check(rate(model))


@pytest.mark.parametrize("delay_s", [0.0, 2.4])
@pytest.mark.parametrize("model", MODELS)
def test_a_delayed_delivery_after_a_reconnection_is_no_restart(model: str, delay_s: float) -> None:
    sent = stream(model)
    trial = Trial(MODELS[model]).receive([entry for entry in sent if entry.sent_s < 5.0])
    trial.reconnect()
    trial.receive(held([entry for entry in sent if entry.sent_s >= 7.11], 7.0, 7.11 + delay_s))
    trial.check(rate(model))
    assert not any(reading.is_estimate for reading in trial.readings)


@pytest.mark.parametrize("model", [model for model in MODELS if model not in {"imu383", "zed-f9p"}])
def test_the_host_clock_continues_the_time_of_a_restarted_unit(model: str) -> None:
    unit = SIMULATORS[model]()
    trial = Trial(MODELS[model]).receive(packets(unit, 4.0))
    trial.reconnect()
    unit.power_cycle(9.0)
    trial.receive(packets(unit, 14.0))
    assert trial.time_error_s() == pytest.approx(0.0, abs=0.01)
    assert [reading.is_estimate for reading in trial.readings].count(True) in {1, 2}


@pytest.mark.parametrize("loss", [0.2, 0.6])
@pytest.mark.parametrize("model", MODELS)
def test_losses_of_a_bad_line_are_counted_within_one_percent(model: str, loss: float) -> None:
    random = Random(2)  # noqa: S311 - repeatable losses
    sent = [entry for entry in stream(model) if random.random() >= loss]
    trial = Trial(MODELS[model]).receive(sent)
    total = round((sent[-1].sent_s - sent[0].sent_s) * rate(model)) + 1
    assert len(trial.readings) + trial.missing() == pytest.approx(total, rel=0.01)


@pytest.mark.parametrize("loss", [0.2, 0.6])
@pytest.mark.parametrize("model", [*MODELS, "3dm-gx3-25"])
def test_damaged_bytes_are_lost_readings(model: str, loss: float) -> None:
    random = Random(1)  # noqa: S311 - repeatable damage
    sent = packets(SIMULATORS[model](), 60.0 if rate(model) > 50.0 else 300.0)
    share = 1.0 - (1.0 - loss) ** (1.0 / max(len(entry.octets) for entry in sent))
    damaged = [
        bytes(octet ^ 1 << random.randrange(8) if random.random() < share else octet for octet in entry.octets)
        for entry in sent
    ]
    trial = Trial(FAMILIES.get(model) or MODELS[model])
    buffer = trial.family.wire.receive_buffer("/dev/port")
    for entry, octets in zip(sent, damaged, strict=True):
        frames = buffer.scan(octets, 115200, CONNECTED_S + entry.arrival_s).frames
        trial.receive([entry._replace(octets=frame.raw) for frame in frames])
    total = round((trial.sent[-1].sent_s - trial.sent[0].sent_s) * rate(model)) + 1
    assert len(trial.readings) < (1.0 - 0.7 * loss) * total
    assert len(trial.readings) + trial.missing() == pytest.approx(total, rel=0.01)


def test_an_old_simulator_without_a_sample_count_counts_losses_by_its_timer() -> None:
    entries = packets(MonoDriveSimulator(header=12), 3.0)
    trial = Trial("monodrive").receive([entry for k, entry in enumerate(entries) if k % 10 != 5])
    assert len(trial.readings) + trial.missing() == len(entries)
