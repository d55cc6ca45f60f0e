import pytest

from pygnc_instruments.simulators.endpoints import FaultInjector, FaultRates

OCTETS = bytes(range(256)) * 200


def test_a_good_line_changes_nothing() -> None:
    line = FaultInjector(FaultRates())
    assert line.pass_on(OCTETS, 0.0) == OCTETS
    assert line.injected == 0


@pytest.mark.parametrize("kind", ["lost", "flipped", "doubled"])
def test_faults_come_at_their_rate_and_are_counted(kind: str) -> None:
    line = FaultInjector(FaultRates(**{kind: 0.02}), seed=4)
    arrived = line.pass_on(OCTETS, 0.0)
    assert line.injected == pytest.approx(0.02 * len(OCTETS), rel=0.15)
    assert len(arrived) - len(OCTETS) == {"lost": -1, "flipped": 0, "doubled": 1}[kind] * line.injected
    if kind == "flipped":
        assert sum((a ^ b).bit_count() for a, b in zip(arrived, OCTETS, strict=True)) == line.injected


def test_the_same_seed_gives_the_same_faults() -> None:
    rates = FaultRates(lost=0.01, flipped=0.01, doubled=0.01)
    first, again, other = (FaultInjector(rates, seed).pass_on(OCTETS, 0.0) for seed in (1, 1, 2))
    assert first == again != other


def test_silences_come_at_their_rate_and_last_as_long_as_said() -> None:
    line = FaultInjector(FaultRates(silences_per_s=0.1, silence_s=2.0), seed=2)
    silent_s = sum(0.1 for k in range(20_000) if not line.pass_on(b"x", k * 0.1))
    assert silent_s == pytest.approx(line.injected * 2.0, rel=0.02)
    assert line.injected == pytest.approx(2000 / (10 + 2), rel=0.25)
