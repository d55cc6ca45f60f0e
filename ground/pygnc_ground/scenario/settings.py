"""What a scenario is made from: typed settings with defaults, read from TOML and written back resolved.

Angles are in degrees and light in lux here, at the edge, because people write these files; names say so.
"""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets
from pygnc_ground.scenario.clock_settings import SpacecraftClock
from pygnc_ground.scenario.fault_settings import Faults
from pygnc_ground.scenario.gps_settings import Gps
from pygnc_ground.scenario.motion_settings import Forces, Orbit, Spacecraft
from pygnc_ground.scenario.ranging_settings import Formation, Partner, Ranging
from pygnc_ground.scenario.section import Section
from pygnc_ground.scenario.sensor_settings import Attitude, Imu, SunSensors

Tables: TypeAlias = dict[str, Any]
"""Settings as read from TOML, not yet checked."""


class Settings(Section, frozen=True):
    """A whole scenario.

    Raises:
        ValueError: The start is no UTC time on a whole second, samples would overtake each other, satellites share an
            id, or no range would be taken.
    """

    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    start_utc: str = "2025-03-20T00:00:00Z"
    duration_s: Annotated[int, msgspec.Meta(ge=1)] = 3600
    sample_interval_s: Annotated[int, msgspec.Meta(ge=1)] = 5
    truth_every_samples: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Rows in the table of truth: 1 for all samples, 5 for the fixes alone."""
    orbit: Orbit = Orbit()
    spacecraft: Spacecraft = Spacecraft()
    forces: Forces = Forces()
    attitude: Attitude = Attitude()
    clock: SpacecraftClock = SpacecraftClock()
    gps: Gps = Gps()
    imu: Imu = Imu()
    sun_sensors: SunSensors = SunSensors()
    ranging: Ranging = Ranging()
    formation: Formation = Formation()
    faults: Faults = Faults()
    partners: tuple[Partner, ...] = ()

    def __post_init__(self) -> None:
        if self.start_gps_ms % 1000:
            raise ValueError("start_utc must be on a whole second, as the receiver's fixes are")
        if self.clock.jitter_s >= self.sample_interval_s:
            raise ValueError("clock.jitter_s must be less than sample_interval_s, or samples overtake each other")
        ids = [partner.id for partner in self.partners]
        if self.formation.all_satellites:
            ids.append(self.formation.own_id)
        if len({*ids}) < len(ids):
            raise ValueError("two satellites have the same id (partners.id, formation.own_id)")
        if self.partners and self.ranging.interval_s > self.duration_s:
            raise ValueError("ranging.interval_s is longer than duration_s, so no range would be taken")

    @property
    def start_gps_ms(self) -> int:
        """The start in milliseconds of GPS time."""
        return gps_ms_from_utc_iso(self.start_utc)

    @property
    def record_s(self) -> int:
        """From one sense record to the next."""
        return batch_sensor_gps_packet_num_sensor_packets * self.sample_interval_s


def load_settings(path: Path) -> Settings:
    """Read a scenario file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no TOML, or a setting is unknown, of the wrong type or out of range; the message names it.
    """
    return checked(read_tables(path), str(path))


def read_tables(path: Path) -> Tables:
    """Read a scenario file without checking its settings.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def overlaid(tables: Tables, by: Tables) -> Tables:
    """Settings with others laid over them: tables are merged name by name, all else, lists too, is replaced."""
    merged = tables | by
    for name in tables.keys() & by.keys():
        if isinstance(tables[name], dict) and isinstance(by[name], dict):
            merged[name] = overlaid(tables[name], by[name])
    return merged


def checked(tables: Tables, source: str) -> Settings:
    """Typed settings; what is not named has its default.

    Raises:
        ValueError: A setting is unknown, of the wrong type or out of range; the message names it and `source`.
    """
    try:
        return msgspec.convert(tables, Settings)
    except msgspec.ValidationError as error:
        raise ValueError(f"{source}: {error}") from error


def dump_settings(settings: Settings) -> str:
    """All settings as TOML, defaults included, so that `load_settings` gives the same scenario under later defaults."""
    return "\n".join(_lines(msgspec.to_builtins(settings), "")) + "\n"


def _lines(table: Tables, name: str) -> list[str]:
    # JSON's numbers, strings, booleans and arrays are also TOML's.
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not _is_table(value)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", f"[{name}{key}]", *_lines(value, f"{name}{key}.")]
        elif _is_table(value):
            for row in value:
                lines += ["", f"[[{name}{key}]]", *_lines(row, f"{name}{key}.")]
    return lines


def _is_table(value: object) -> bool:
    """Whether it is written as a table, or as a list of tables; an empty list is written as an array."""
    rows = [value] if isinstance(value, dict) else value
    return isinstance(rows, list | tuple) and len(rows) > 0 and all(isinstance(row, dict) for row in rows)
