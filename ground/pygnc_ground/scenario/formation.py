"""Satellites of a scenario, each with its own settings and trajectory, and the radio links between them."""

from dataclasses import dataclass
from typing import Self

import msgspec

from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.seeds import noise_generator, partner_seed
from pygnc_ground.scenario.settings import Partner, Settings
from pygnc_ground.scenario.trajectory import SatellitePath, Trajectory, initial_state_gcrf, partner_state_gcrf


@dataclass(frozen=True, slots=True, eq=False)
class Satellite:
    """One satellite of the scenario."""

    id: int
    settings: Settings
    """The scenario's settings with this satellite's own seed and boot time"""
    path: SatellitePath
    partner: Partner | None
    """Its entry in `partners`; None for the main satellite"""

    @classmethod
    def leading(cls, settings: Settings) -> Self:
        """Return the main satellite."""
        return cls(settings.formation.own_id, settings, _path(settings, initial_state_gcrf(settings.orbit)), None)

    @classmethod
    def partnered(cls, settings: Settings, partner: Partner) -> Self:
        """Return the satellite that an entry of `partners` describes."""
        clock = msgspec.structs.replace(settings.clock, boot_before_start_s=partner.boot_before_start_s)
        own = msgspec.structs.replace(settings, seed=partner_seed(settings.seed, partner.id), clock=clock)
        state = partner_state_gcrf(initial_state_gcrf(settings.orbit), partner)
        return cls(partner.id, own, _path(settings, state), partner)

    @property
    def frequency_offset_hz(self) -> float:
        """Carrier frequency offset of its radio relative to the main satellite's."""
        return self.partner.frequency_offset_hz if self.partner else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Radio link from one satellite to another."""

    partner_id: int
    partner: SatellitePath
    delay_bias_m: float
    """Delay bias of the pair, the same in both directions"""
    frequency_offset_hz: float
    """Carrier frequency of the partner minus that of the satellite itself"""


def satellites(settings: Settings) -> tuple[Satellite, ...]:
    """Return all satellites; the main satellite is first."""
    partners = (Satellite.partnered(settings, partner) for partner in settings.partners)
    return Satellite.leading(settings), *partners


def links(settings: Settings, one: Satellite, everyone: tuple[Satellite, ...]) -> tuple[Link, ...]:
    """Return the links of one satellite to all others, in their order."""
    return tuple(
        Link(
            partner_id=other.id,
            partner=other.path,
            delay_bias_m=_delay_bias_m(settings, one.partner, other.partner),
            frequency_offset_hz=other.frequency_offset_hz - one.frequency_offset_hz,
        )
        for other in everyone
        if other is not one
    )


def _path(settings: Settings, state_gcrf: FloatArray) -> Trajectory:
    return Trajectory(settings.start_gps_ms, settings.duration_s, state_gcrf, settings.spacecraft, settings.forces)


def _delay_bias_m(settings: Settings, one: Partner | None, other: Partner | None) -> float:
    partners = [partner for partner in (one, other) if partner is not None]
    mean_m = sum(partner.delay_bias_m for partner in partners) / len(partners)
    if len(partners) == 1:
        return mean_m
    pair = "{}-{}".format(*sorted(partner.id for partner in partners))
    drawn = noise_generator(settings.seed, f"pair bias {pair}").standard_normal()
    return mean_m + settings.formation.pair_bias_spread_m * float(drawn)
