"""Scenarios in memory: settings, files and true states of their satellites."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pygnc_ground.scenario.generate import (
    Scenario,
    SensorModel,
    TrueStates,
    generate,
    generate_all,
    generate_along,
    settings_along,
)
from pygnc_ground.scenario.presets import scenario_settings, scenario_tables
from pygnc_ground.scenario.settings import Settings
from pygnc_ground.scenario.writer import MADE_AGAIN_BY, write_scenario
from pygnc_ground.truth.ephemeris import Ephemeris


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedScenario:
    """Files of a scenario and the true states that they follow from."""

    settings: Settings
    satellites: tuple[Scenario, ...]
    """The main satellite, and its partners if `formation.all_satellites` demands their files."""
    origin: str = MADE_AGAIN_BY
    """Comment at the top of `scenario.toml`."""

    @property
    def truth(self) -> TrueStates:
        """True states of the main satellite at its n samples."""
        return self.satellites[0].truth

    def write(self, folder: Path | str) -> list[Path]:
        """Write input files, truth tables and settings to a new or empty folder; return their paths.

        Raises:
            FileExistsError: The folder is not empty.
            OSError: A file cannot be written.
        """
        return write_scenario(self.settings, self.satellites, Path(folder), self.origin)


def make_scenario(
    preset: str | None = None,
    settings: Settings | Mapping[str, Any] | Path | str | None = None,
    *,
    seed: int | None = None,
    start_utc: str | None = None,
    duration_s: int | None = None,
    along: Ephemeris | None = None,
    sensor_model: SensorModel | None = None,
) -> GeneratedScenario:
    """Generate input files with known truth in about 0.3 s per hour of flight and satellite.

    Args:
        preset: Name of a preset; see `scenario_presets`.
        settings: Settings that override those of the preset: a mapping with the structure of `scenario.toml`, the path
            of such a file, or all settings.
        seed: Seed of the noise; overrides the settings.
        start_utc: Start in UTC, such as 2025-03-20T00:00:00Z; overrides the settings.
        duration_s: Duration in s; overrides the settings.
        along: Ephemeris of a single satellite, along which it moves. Start and duration are those of the ephemeris
            unless the settings name them; settings of orbit, spacecraft and forces have no effect.
        sensor_model: Function that replaces the simulated readings of each satellite.

    Raises:
        OSError: A file cannot be read.
        ValueError: A setting is wrong, the scenario cannot be generated, or the ephemeris does not cover it.
    """
    if along is None:
        chosen = scenario_settings(preset, settings, seed=seed, start_utc=start_utc, duration_s=duration_s)
        if chosen.formation.all_satellites:
            return GeneratedScenario(chosen, generate_all(chosen, sensor_model))
        return GeneratedScenario(chosen, (generate(chosen, sensor_model),))
    single = {"seed": seed, "start_utc": start_utc, "duration_s": duration_s}
    chosen = settings_along(*scenario_tables(preset, settings, single), along)
    origin = f"Along {along.description}.\nThe orbit, spacecraft and forces below were not used."
    return GeneratedScenario(chosen, (generate_along(chosen, along, sensor_model),), origin)
