"""Satellites of a scenario, each with its own settings and trajectory, and the radio links between them."""

import math
from dataclasses import dataclass

import msgspec

from pygnc_ground.scenario.settings import Partner, Settings, noise_generator, partner_seed
from pygnc_ground.scenario.shapes import placed_partners
from pygnc_ground.scenario.trajectory import SatellitePath, Trajectory


@dataclass(frozen=True, slots=True, eq=False)
class Satellite:
    """One satellite of the scenario."""

    id: int
    settings: Settings
    """Settings of the scenario with this satellite's own seed, boot time, receiver and radio."""
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
    main = Satellite(settings.formation.own_id, settings, Trajectory.of(settings), None)
    partners = (
        Satellite(partner.id, _settings_of(partner, settings), Trajectory.of(settings, partner), partner)
        for partner in placed_partners(settings)
    )
    return main, *partners


def _settings_of(partner: Partner, settings: Settings) -> Settings:
    outages_s = settings.gps.outages_s
    if partner.fixes_until_s is not None:
        outages_s = (*outages_s, (partner.fixes_until_s, math.inf))
    missing_rate = settings.ranging.missing_rate if partner.measures_ranges else 1.0
    return msgspec.structs.replace(
        settings,
        seed=partner_seed(settings.seed, partner.id),
        clock=msgspec.structs.replace(settings.clock, boot_before_start_s=partner.boot_before_start_s),
        gps=msgspec.structs.replace(settings.gps, outages_s=outages_s),
        ranging=msgspec.structs.replace(settings.ranging, missing_rate=missing_rate),
    )


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
