"""Satellites of a scenario, each with its own settings and trajectory, and the radio links between them."""

from dataclasses import dataclass

import msgspec

from pygnc_ground.scenario.settings import Partner, Settings, noise_generator, partner_seed
from pygnc_ground.scenario.trajectory import SatellitePath, Trajectory


@dataclass(frozen=True, slots=True, eq=False)
class Satellite:
    """One satellite of the scenario."""

    id: int
    settings: Settings
    """Settings of the scenario with this satellite's own seed and boot time."""
    path: SatellitePath
    partner: Partner | None
    """Entry of the satellite in `partners`; None for the main satellite."""


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Radio link from one satellite to another."""

    partner_id: int
    partner: SatellitePath
    delay_bias_m: float
    """Delay bias of the pair, equal in both directions."""
    frequency_offset_hz: float
    """Carrier frequency of the partner minus that of the satellite itself."""


def satellites(settings: Settings) -> tuple[Satellite, ...]:
    """Return all satellites; the main satellite is first."""
    found = [Satellite(settings.formation.own_id, settings, Trajectory.of(settings), None)]
    for partner in settings.partners:
        clock = msgspec.structs.replace(settings.clock, boot_before_start_s=partner.boot_before_start_s)
        own = msgspec.structs.replace(settings, seed=partner_seed(settings.seed, partner.id), clock=clock)
        found.append(Satellite(partner.id, own, Trajectory.of(settings, partner), partner))
    return tuple(found)


def links(settings: Settings, one: Satellite, everyone: tuple[Satellite, ...]) -> tuple[Link, ...]:
    """Return the links of one satellite to all others, in their order."""
    return tuple(
        Link(
            partner_id=other.id,
            partner=other.path,
            delay_bias_m=_delay_bias_m(settings, [each.partner for each in (one, other) if each.partner is not None]),
            frequency_offset_hz=_offset_hz(other) - _offset_hz(one),
        )
        for other in everyone
        if other is not one
    )


def _offset_hz(satellite: Satellite) -> float:
    """Return the carrier frequency offset of a satellite relative to the main satellite."""
    return satellite.partner.frequency_offset_hz if satellite.partner else 0.0


def _delay_bias_m(settings: Settings, partners: list[Partner]) -> float:
    """Return the delay bias of a pair with one or two partners; the other satellite is the main satellite."""
    mean_m = sum(partner.delay_bias_m for partner in partners) / len(partners)
    if len(partners) == 1:
        return mean_m
    pair = "{}-{}".format(*sorted(partner.id for partner in partners))
    drawn = noise_generator(settings.seed, f"pair bias {pair}").standard_normal()
    return mean_m + settings.formation.pair_bias_spread_m * float(drawn)
