"""Files of a simulated flight, in memory and on disk."""

from pathlib import Path

import msgspec
import pytest

from pygnc.bus.messages import GnssFix, Message, RangeMeasurement, SensorSample, SourceFile
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc_ground.campaign.flight import SimulatedFlight
from pygnc_ground.replay.inputs import from_files
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.scenario.writer import range_files


def without_names(messages: list[Message]) -> list[Message]:
    """The messages without what depends on the folder of the files."""
    return [
        msgspec.structs.replace(message, name="", modified_ns=0)
        if isinstance(message, SourceFile)
        else msgspec.structs.replace(message, source="")
        if isinstance(message, SensorSample | GnssFix | RangeMeasurement)
        else message
        for message in messages
    ]


def test_files_in_memory_and_on_disk_give_the_same_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = settings_from_tables(preset_tables("formation4"), "formation4")
    formation = msgspec.structs.replace(preset.formation, all_satellites=True)
    settings = msgspec.structs.replace(preset, duration_s=900, partners=preset.partners[:2], formation=formation)
    flight = SimulatedFlight.of(settings)
    (tmp_path / "sense.bin").write_bytes(flight.sense)
    own_id = flight.satellites[0].id
    for satellite, stream in flight.ranges.items():
        folder = tmp_path / "range" if satellite == own_id else tmp_path / "range" / f"partner_{satellite}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in range_files(stream):
            (folder / name).write_bytes(content)
    on_disk = list(from_files([tmp_path / "sense.bin"], tmp_path / "range", FlightSettings()).messages)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a simulated flight opens a file")

    monkeypatch.setattr("pygnc.inputs.sense_file.open_input", refuse)
    monkeypatch.setattr("pygnc.inputs.range_files.open_input", refuse)
    in_memory = flight.inputs(FlightSettings())
    assert len(in_memory) > 100
    assert without_names(in_memory) == without_names(on_disk)


def test_flights_of_different_length_share_the_orbit_of_their_predictions() -> None:
    def flight(duration_s: int, seed: int = 1) -> SimulatedFlight:
        tables = {
            "duration_s": duration_s,
            "sample_interval_s": 5,
            "seed": seed,
            "forces": {"gravity_degree": 4, "density_error": 0.1},
        }
        return SimulatedFlight.of(settings_from_tables(tables, "test"), beyond_s=3600.0)

    short, longer = flight(25), flight(600)
    assert longer.path is short.path
    assert flight(25, seed=2).path is not short.path
