"""Replay of the first part of the demonstration, with its recording for the player."""

from pathlib import Path

from pygnc_ground.report.player.recording import Recording, make_recording
from pygnc_ground.report.replay import Replay, replay_files
from tests.demo_elements import DEMO, RECORD_BYTES


def short_replay(folder: Path, records: int = 72) -> Replay:
    """Return the replay of the first GPS records, each with its sensor samples, and of all ranges."""
    file = folder / "sense.bin"
    file.write_bytes((DEMO / "sense.bin").read_bytes()[: records * RECORD_BYTES])
    return replay_files(file, ranges=DEMO / "range", settings=DEMO / "pygnc.toml", truth=DEMO / "truth.parquet")


def recording_of(replay: Replay, folder: Path) -> Recording:
    """Write the tables of a replay to a folder and return its recording."""
    tables = {name: folder / f"{name}.parquet" for name in replay.tables}
    for name, path in tables.items():
        replay.tables[name].write_parquet(path)
    return make_recording(replay.result, tables)
