"""Simulated year of a fleet: restored servers and cards, copied cards, clocks that are set, full disks.

Usage: python -m scripts.bench.fleet_year [--stations N] [--days N] [--interval SECONDS] [--round DAYS]
           [--uploads SHARE] [--seed N]

Stores, batches, uploads, server and backups are those of the stations; the clock that they read is simulated, so that
nothing waits. Readings are 1 h apart instead of 10 s. They are stored in rounds of five days, in which three of twenty
stations upload. Prints a Markdown table.
"""

import argparse
import signal
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final
from unittest.mock import patch

from pygnc_station.backup.archive import found_backup, remove_old, restore_database, write_backup
from pygnc_station.backup.database import COPY
from pygnc_station.errors import StoreError
from pygnc_station.server.access import list_gateways
from pygnc_station.server.background import check_alerts
from pygnc_station.server.fleet import raised_alerts
from pygnc_station.server_settings import Serve
from pygnc_station.settings import StationSettings
from pygnc_station.settings import Store as StoreSettings
from pygnc_station.store.readings import clock_ms
from pygnc_station.upload.retry import retry_state, waiting_ms
from pygnc_station.upload.uploader import UPLOAD
from scripts.bench.fleet_fault_run import DAY_S, FleetFaultRun, Plan, Station, identities, send
from scripts.bench.table import Row, print_rows
from tests.pygnc_station.server.samples import Running, server

YEAR: Final = Plan(
    stations=200,
    days=365,
    round_s=5 * DAY_S,
    interval_s=3600,
    faults={
        "servers restored by the command": 1,
        "servers restored as files": 1,
        "backups restored": 10,
        "cards cloned with their keys": 3,
        "cards cloned and registered anew": 3,
        "registrations with the old key": 6,
        "registrations after the key was lost": 6,
        "full disks": 8,
        "clock steps": 100,
    },
    clock_jump_s=400 * DAY_S,
    saved=0.03,
    disk_bytes=6_000_000_000,
    uploads=0.15,
)
_SERVER_SAVED: Final = 0.3
"""Probability that the server makes a backup in a round."""
_CLOCK_SET_RIGHT: Final = 0.4
"""Probability that a wrong clock is set right after a round."""
_UPLOAD_MS: Final = 30_000
"""Simulated duration of an upload, so that delays after failures pass."""


class SimulatedClock:
    """Stand-in for the module `time` in the stations' code; each thread may see a wrong clock.

    Args:
        now_ms: time, milliseconds since 1970 (UTC).
    """

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._thread = threading.local()

    def time(self) -> float:
        """Return the time of this thread's clock, seconds since 1970."""
        return (self.now_ms + getattr(self._thread, "offset_ms", 0)) / 1000

    @contextmanager
    def wrong_by(self, offset_ms: int) -> Iterator[None]:
        """Set the clock of this thread."""
        self._thread.offset_ms = offset_ms
        try:
            yield
        finally:
            self._thread.offset_ms = 0


class FleetYear(FleetFaultRun):
    """Year of a fleet, with stations and server in this process; see `FleetFaultRun`."""

    def __init__(self, folder: Path, plan: Plan = YEAR, seed: int = 1) -> None:
        super().__init__(folder, plan, seed)
        self.clock = SimulatedClock(self.start_ms)
        self.alerted = 0
        self.forgetful = 0
        """Number of restorations after which the server knew less than before."""
        self._serving = ExitStack()
        self._running: Running
        serve, store = Serve(folder="server"), StoreSettings(str(folder / "central.db"))
        self._settings = StationSettings(name="server", folder=str(folder), serve=serve, store=store)
        self._backups = str(folder / "server.backups")

    def run(self) -> Iterator[Row]:
        """Simulate the time, and yield the results."""
        with patch("pygnc_station.store.readings.time", self.clock), self._serving:
            yield from super().run()

    def round(self, number: int, faults: list[str]) -> None:
        """Simulate the time between two uploads; alerts are checked at its end."""
        self.clock.now_ms = self.start_ms + (number + 1) * self.plan.round_s * 1000
        if number == 1 or self.dice.random() < _SERVER_SAVED:
            write_backup(self._settings, self.folder / "none", self._backups, clock_ms())
            remove_old(self._settings, self._backups, 1, clock_ms())
        super().round(number, faults)
        for station in self.stations:
            if self.dice.random() < _CLOCK_SET_RIGHT:
                station.clock_offset_ms = 0
        there = self._running
        check_alerts(there.store, self._settings, (), there.folder, clock_ms())
        with there.store.reads() as connection:
            raised = {alert.name for alerts in raised_alerts(connection).values() for alert in alerts}
        self.alerted += "restored" in raised

    def fault(self, fault: str) -> None:
        """Cause a fault; see `FleetFaultRun.fault`."""
        if fault == "clock steps":
            jump_s = self.dice.randrange(-self.plan.clock_jump_s, self.plan.clock_jump_s)
            self.dice.choice(self.stations).clock_offset_ms = jump_s * 1000
        elif fault.startswith("servers restored"):
            before = set(identities(self.folder / "central.db"))
            self._restore_server(is_running="command" in fault)
            self.forgetful += bool(before - set(identities(self.folder / "central.db")))
            self.note_lost(before)
            self._register_unknown()
        else:
            super().fault(fault)
            return
        self.done[fault] += 1

    def _restore_server(self, *, is_running: bool) -> None:
        with found_backup(self._settings, self._backups, clock_ms()) as path:
            if is_running:
                restore_database(self._settings, path)
                return
            self.stop_server(signal.SIGTERM)
            for old in self.folder.glob("central.db*"):
                old.unlink()
            with zipfile.ZipFile(path) as archive, archive.open(COPY) as source:
                (self.folder / "central.db").write_bytes(source.read())
            self.start_server()

    def _register_unknown(self) -> None:
        """Register the stations whose keys the restored server does not know, as its operator does."""
        for station in self.stations:
            with self.central() as central:
                if self.gateway_of(station, central):
                    continue
                found = [gateway.id for gateway in list_gateways(central) if gateway.name == station.name]
            lost = (station.folder / "gateway_key.txt").read_bytes()
            self.register(station, str(found[0]) if found else "")
            self.give_key(station, lost)
            self.done["registrations with a server that was restored"] += 1

    def save(self, station: Station) -> None:
        """Make a backup of a station's card: an image, or by the command."""
        station.save(clock_ms() if self.dice.random() < 0.5 else None)

    def upload(self, station: Station, *, is_killed: bool = False) -> None:  # noqa: ARG002 - nothing is killed
        """Upload as `pygnc station upload` does, if the next attempt is due."""
        self.clock.now_ms += _UPLOAD_MS
        with self.clock.wrong_by(station.clock_offset_ms), suppress(StoreError):  # the disk is full
            now_ms = clock_ms()
            if not waiting_ms(retry_state(station.store, UPLOAD).next_try_ms, now_ms):
                send(station.settings, now_ms)

    def results(self, refused: dict[str, str]) -> Iterator[Row]:
        """Yield the results; see `FleetFaultRun.results`."""
        yield from super().results(refused)
        name = "rounds that end with an alert `restored`; restorations after which the server knew less"
        yield Row(name, f"{self.alerted}; {self.forgetful}", "1 each", self.alerted >= self.forgetful)

    def start_server(self) -> None:
        """Start the server in threads of this process."""
        there = server(self.folder / "server", str(self.folder / "central.db"), port=self.port, tries=100)
        self._running = self._serving.enter_context(there)

    def stop_server(self, number: signal.Signals) -> None:  # noqa: ARG002 - no process receives it
        """Stop the server."""
        self._serving.close()


def main() -> int:
    """Simulate the year and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", type=int, default=YEAR.stations, help="Stations (default: 200).")
    parser.add_argument("--days", type=int, default=YEAR.days, help="Simulated days (default: 365).")
    parser.add_argument("--interval", type=int, default=YEAR.interval_s, help="Seconds between readings (3600).")
    parser.add_argument("--round", type=int, default=YEAR.round_s // DAY_S, help="Days of a round (default: 5).")
    parser.add_argument("--uploads", type=float, default=YEAR.uploads, help="Share of stations that upload (0.15).")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the faults and their times.")
    options = parser.parse_args()
    plan = YEAR._replace(stations=options.stations, days=options.days, interval_s=options.interval)
    plan = plan._replace(round_s=options.round * DAY_S, uploads=options.uploads)
    with tempfile.TemporaryDirectory() as folder:
        return print_rows(FleetYear(Path(folder), plan, options.seed).run())


if __name__ == "__main__":
    raise SystemExit(main())
