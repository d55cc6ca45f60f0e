"""Benchmark of years of readings in docs/benchmarks: bytes per reading by database, and charts of a month.

Usage: python -m scripts.bench.bench_archive [--part sizes|charts] [--stations N N ...] [--folder DIR]

--stations: numbers of stations with a month of readings every 10 s, at which one growing database is measured. The
readings of one station are stored as those of a server; the others have copies of them, stored hour by hour as they
would arrive. 20 stations take 2 GB; 236 have as many readings as 200 stations in a tenth of a year, and take 24 GB.
What a chart reads is that of one station and month, so that the trend over the sizes tells what a larger archive needs.

--folder: folder of the database, which remains; the same command continues an interrupted run there.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
from sqlalchemy import func, insert, literal, select, text, true, update

from pygnc_devices.opc_n3.packets import HISTOGRAM
from pygnc_station.store import query, schema
from pygnc_station.store.export import export
from pygnc_station.store.hourly import HOURS, update_hours
from pygnc_station.store.readings import DAY_MS, HOUR_MS, Layout, NewReading, iso_time, to_text
from pygnc_station.store.store import Store
from scripts.bench.processes import ROOT
from scripts.bench.table import Row, print_rows, select_parts
from tests.fakes.mariadb import MariaDb
from tests.pygnc_station.server.samples import server

EVERY_MS: Final = 10_000
START_MS: Final = 1_790_035_200_000
"""2026-09-22, midnight."""
MONTH_DAYS: Final = 31
LAYOUT: Final = Layout.of(HISTOGRAM)
BINS: Final = 24
RAW_BYTES: Final = 86
AT_ONCE: Final = 8640
NAME: Final = "pm_2_5_ug_m3"
YEAR: Final = 365 * DAY_MS // EVERY_MS
FLEETS: Final = (1, 20, 200, 2000)
MAX_CHART_S: Final = 1.0


def main() -> int:
    """Run the selected measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", type=int, nargs="+", default=[2, 20], metavar="N", help="Stations at each step.")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="Folder of the growing database, which remains.")
    options, chosen = select_parts(parser, {"sizes": sizes, "charts": charts})
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        return print_rows(row for part in chosen for row in part(options.stations, folder))


def sizes(_: list[int], folder: Path) -> Iterator[Row]:
    """Measure the bytes of a reading and of its hourly statistics, of three days of a particle counter."""
    with MariaDb() as database:
        for kind, where in (("SQLite", str(folder / "r.db")), ("MariaDB", database.new_database())):
            with Store.open(where) as store:
                empty = _used(store)
                count = _fill(store, 1, 3)
                filled = _used(store)
                each = (filled - empty) / count
                hours = update_hours(store)
                of_hour = (_used(store) - filled) / hours
                yield Row(
                    f"{kind}: a reading of an OPC-N3; hourly statistics", f"{each:.0f} B; {of_hour:.0f} B an hour"
                )
                if kind == "SQLite":
                    (path,) = export(store, query.streams(store), folder, "parquet")
                    yield Row("Parquet (`pygnc station export`): a reading", f"{path.stat().st_size / count:.0f} B")
                    for fleet in FLEETS:
                        year = fleet * (YEAR * each + 365 * 24 * of_hour)
                        kept = fleet * 365 * 24 * of_hour
                        result = f"{year / 1e9:.1f} GB, of which {kept / 1e9:.2f} GB are statistics"
                        yield Row(f"SQLite: a year of {fleet} stations at 10 s, computed", result)


def _used(store: Store) -> float:
    if store.is_file:
        return store.used_bytes()
    with store.engine.connect() as connection:
        connection.execute(text("ANALYZE TABLE readings, hours")).close()
        tables = "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
        return float(connection.execute(text(tables)).scalar_one())


def _fill(store: Store, stations: int, days: int) -> int:
    """Store readings every 10 s of some stations; return their number."""
    dice = random.Random(1)  # noqa: S311 - repeatable

    def reading(at: int) -> NewReading:
        bins = [dice.randrange(100) for _ in range(BINS)]
        others = [round(dice.uniform(0, 50), 3) for _ in range(len(LAYOUT.columns) - BINS)]
        return NewReading(at, 0, 0, "", to_text([*bins, *others]), dice.randbytes(RAW_BYTES))

    for day in range(days):
        for rank in range(stations):
            stream = store.stream(f"OPC_{rank}", LAYOUT, family="opc_n3")
            times = range(START_MS + day * DAY_MS, START_MS + (day + 1) * DAY_MS, EVERY_MS)
            store.append(stream, [reading(at) for at in times])
    return stations * days * AT_ONCE


def _grow(store: Store, stations: int) -> int:
    """Give further stations copies of the readings and statistics of the first; return the rank of one of the last."""
    _copy(store)
    known = len(query.streams(store))
    for rank in range(known, stations):
        store.stream(f"OPC_{rank}", LAYOUT, family="opc_n3")
    _copy(store)
    return (known + stations) // 2 if known < stations else stations - 1


def _copy(store: Store) -> None:
    """Copy what the other stations lack, also after an interruption.

    Each hour all stations store its readings and statistics, one after another, so that those of one station lie as far
    apart on the disk as those of stations that upload once an hour.
    """
    h, r, s, c = schema.hours.c, schema.readings.c, schema.streams.c, schema.cursors.c
    lacking = s.id.not_in(select(c.stream_id).where(c.reader == HOURS))
    with store.reads() as connection:
        if not connection.execute(select(s.id).where(lacking)).all():
            return
        known = h.stream_id.in_(select(s.id).where(lacking))
        begin = connection.execute(select(func.max(h.hour) + 1).where(known)).scalar() or START_MS // HOUR_MS
        first = connection.execute(select(func.min(s.id))).scalar_one()
    for hour in range(begin, (START_MS + MONTH_DAYS * DAY_MS) // HOUR_MS):
        within = r.t_utc_ms.between(hour * HOUR_MS, (hour + 1) * HOUR_MS - 1)
        with store.writes() as connection:
            for table, span in ((schema.readings, within), (schema.hours, h.hour == hour)):
                stream_id, *more = table.c
                copied = select(s.id, *more).join_from(schema.streams, table, true())
                copied = copied.where(lacking, stream_id == first, span).order_by(s.id)
                connection.execute(insert(table).from_select([column.name for column in table.c], copied))
    last = literal(MONTH_DAYS * AT_ONCE)
    with store.writes() as connection:
        connection.execute(update(schema.streams).values(next_number=last + 1).where(lacking))
        complete = select(literal(HOURS), s.id, last).where(lacking)
        connection.execute(insert(schema.cursors).from_select(["reader", "stream_id", "number"], complete))


def charts(stations: list[int], folder: Path) -> Iterator[Row]:
    """Measure the charts of a month of one station, from the disk and from memory, while the database grows."""
    path = folder / "central.db"
    for count in sorted(stations):
        with Store.open(str(path)) as store:
            if not query.streams(store):
                _fill(store, 1, MONTH_DAYS)
                update_hours(store)
            rank = _grow(store, count)
            readings, size = count * MONTH_DAYS * AT_ONCE, store.used_bytes()
        yield Row(f"{count} stations, a month at 10 s, {readings / 1e6:.1f} million readings", f"{size / 1e9:.2f} GB")
        yield from _charts(folder, path, rank)


def _charts(folder: Path, path: Path, station: int) -> Iterator[Row]:
    with server(folder, str(path), open=True) as there, httpx.Client(base_url=there.url, timeout=300) as client:
        for form, rank in (("mean", station), ("raw", station - 1)):  # the first one's statistics are in memory then
            asked = {
                "gadget": f"OPC_{rank}", "name": NAME, "form": form, "timestamp__gte": iso_time(START_MS),
                "timestamp__lte": iso_time(START_MS + MONTH_DAYS * DAY_MS),
            }  # fmt: skip
            times: list[float] = []
            _forget(path)
            read, used_s = _read_bytes(), time.process_time()
            for run in range(4):
                began_s = time.perf_counter()
                answer = client.get("/api/v1/series/", params=asked).raise_for_status()
                times.append(time.perf_counter() - began_s)
                read = read if run else _read_bytes() - read
            if not answer.json()["points"]:
                raise ValueError(f"{path}: no points")
            used_s = (time.process_time() - used_s) / len(times)
            result = f"{1e3 * times[0]:.0f} ms from the disk, {1e3 * min(times[1:]):.0f} ms from memory"
            result += f"; {1e3 * used_s:.0f} ms of processor time, {read / 1e6:.1f} MB read from the disk"
            title = "means" if form == "mean" else "lowest and highest readings"
            yield Row(f"- chart of a month: {title}", result, f"{MAX_CHART_S:.0f} s", times[0] <= MAX_CHART_S)


def _read_bytes() -> int:
    """Return the number of bytes that this process has caused to be read from disks."""
    return int(Path("/proc/self/io").read_text().partition("\nread_bytes: ")[2].split()[0])


def _forget(path: Path) -> None:
    """Remove a file from the memory of the kernel."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    raise SystemExit(main())
