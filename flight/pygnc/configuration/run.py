"""Constants of one run: folders, settings, tables and start time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from pygnc.bus.disk_guard import refusal_to_grow
from pygnc.bus.journal_writer import JournalWriter
from pygnc.common.clock import SpacecraftReading, spacecraft_ms_at
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable

Notify: TypeAlias = Callable[[str, str, str], None]
"""Function that reports an event; its arguments are severity (info, warning or error), name and text."""


@dataclass(frozen=True, slots=True)
class Run:
    """Constants of one run, shared by all its processes.

    Attributes:
        home: Folder of the host's files.
        folder: The run's journals on disk.
        runtime: The run's private folder in memory: sockets, checkpoints, journals that the disk does not accept.
        number: Number of the run, part of the name of its folder.
        settings: The configuration.
        header: Payload of every journal's HEADER record.
        earth_orientation: Table of Earth orientation parameters.
        earth_orientation_crc: CRC-32 of that table (`pygnc.tasks.seal.checksum`); None if it is not verified.
        start: Spacecraft time given to main.py, with the monotonic clock at that moment.
        has_terminal: True if the host communicates over the terminal that started main.py.
        config: Settings file given by --config.
        from_last_run: True if the run begins with the files written by the previous run.
        unused_generation: Generation of the host's changes that this run does not use; 0 if it uses them.
        memory_kills: Number of times that this process's task has run out of memory in this run.
    """

    home: Path
    folder: Path
    runtime: Path
    number: int
    settings: Settings
    header: bytes
    earth_orientation: EarthOrientationTable
    start: SpacecraftReading
    has_terminal: bool = False
    config: Path | None = None
    from_last_run: bool = False
    unused_generation: int = 0
    memory_kills: int = 0
    earth_orientation_crc: int | None = None

    def constants(self) -> bytes:
        """Return the encoded attributes except the table of Earth orientation, to compare them.

        The encoder modifies fewer pages of shared memory than `pygnc.tasks.seal.checksum`, by a third of a megabyte.
        """
        return msgspec.msgpack.encode(self, enc_hook=lambda value: str(value) if isinstance(value, Path) else None)

    @property
    def has_host(self) -> bool:
        """True if the host is connected by a terminal or by the serial port of the settings."""
        return self.has_terminal or bool(self.settings.host.port)

    @property
    def journal_folders(self) -> tuple[Path, Path]:
        """Folders in which a journal's files may be: on the disk, and in memory."""
        return self.folder, self.runtime

    def open_journal(self, name: str) -> JournalWriter:
        """Open a journal of this run for writing, subject to the disk ceiling."""
        logs = self.settings.logs
        may_grow = partial(refusal_to_grow, self.folder, logs.ceiling_bytes, logs.reserve_bytes)
        return JournalWriter(self.folder, self.runtime, name, self.header, may_grow)

    def spacecraft_time_s(self) -> int:
        """Return the present spacecraft time, from the time at the start and the monotonic clock."""
        return spacecraft_ms_at(time.monotonic_ns(), self.start) // 1000
