"""Injected line faults."""

import pytest

from pygnc_instruments.simulators.endpoints import FaultInjector, FaultRates

OCTETS = bytes(range(256)) * 200


def test_no_faults_without_rates() -> None:
    injector = FaultInjector(FaultRates())
    assert injector.apply(OCTETS, 0.0) == OCTETS
    assert injector.injected == 0


@pytest.mark.parametrize("kind", ["lost", "flipped", "doubled"])
def test_faults_occur_at_their_rate_and_are_counted(kind: str) -> None:
    injector = FaultInjector(FaultRates(**{kind: 0.02}), seed=4)
    arrived = injector.apply(OCTETS, 0.0)
    assert injector.injected == pytest.approx(0.02 * len(OCTETS), rel=0.15)
    assert len(arrived) - len(OCTETS) == {"lost": -1, "flipped": 0, "doubled": 1}[kind] * injector.injected
    if kind == "flipped":
        assert sum((a ^ b).bit_count() for a, b in zip(arrived, OCTETS, strict=True)) == injector.injected


def test_the_same_seed_gives_the_same_faults() -> None:
    rates = FaultRates(lost=0.01, flipped=0.01, doubled=0.01)
    first, again, other = (FaultInjector(rates, seed).apply(OCTETS, 0.0) for seed in (1, 1, 2))
    assert first == again != other


def test_silences_have_their_rate_and_duration() -> None:
    injector = FaultInjector(FaultRates(silences_per_s=0.1, silence_s=2.0), seed=2)
    silent_s = sum(0.1 for k in range(20_000) if not injector.apply(b"x", k * 0.1))
    assert silent_s == pytest.approx(injector.injected * 2.0, rel=0.02)
    assert injector.injected == pytest.approx(2000 / (10 + 2), rel=0.25)
