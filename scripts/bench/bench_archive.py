"""Benchmark of years of readings in docs/benchmarks: bytes per reading by database, and charts of a month.

Usage: python -m scripts.bench.bench_archive [--part sizes|charts] [--stations N N ...]

--stations: numbers of stations with a month of readings every 10 s, one database each. The readings of one station are
stored as those of a server; the others have copies of them, stored day by day as they would arrive. 20 stations take 2
GB; 236 have as many readings as 200 stations in a tenth of a year, and take 24 GB. What a chart reads is that of one
station and month, so that the trend over the databases tells what a larger archive needs.
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
from sqlalchemy import insert, literal, select, text, update

from pygnc_devices.opc_n3.packets import HISTOGRAM
from pygnc_station.store import query, schema
from pygnc_station.store.export import export
from pygnc_station.store.hourly import HOURS, update_hours
from pygnc_station.store.readings import DAY_MS, Layout, NewReading, iso_time, to_text
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
    parser.add_argument("--stations", type=int, nargs="+", default=[2, 20], metavar="N", help="Stations by database.")
    options, chosen = select_parts(parser, {"sizes": sizes, "charts": charts})
    return print_rows(row for part in chosen for row in part(options.stations))


def sizes(_: list[int]) -> Iterator[Row]:
    """Measure the bytes of a reading and of its hourly statistics, of three days of a particle counter."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name, MariaDb() as database:
        folder = Path(name)
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
    contents = [
        (
            to_text([
                dice.randrange(100) if place < BINS else round(dice.uniform(0, 50), 3)
                for place in range(len(LAYOUT.columns))
            ]),
            dice.randbytes(RAW_BYTES),
        )
        for _ in range(1000)
    ]  # fmt: skip
    for day in range(days):
        for rank in range(stations):
            stream = store.stream(f"OPC_{rank}", LAYOUT, family="opc_n3")
            times = range(START_MS + day * DAY_MS, START_MS + (day + 1) * DAY_MS, EVERY_MS)
            store.append(stream, [NewReading(at, 0, 0, "", *dice.choice(contents)) for at in times])
    return stations * days * AT_ONCE


def _copy(store: Store, stations: int) -> None:
    """Give further stations copies of the readings and statistics of the first, a day of each at a time."""
    (first,) = query.streams(store)
    others = [store.stream(f"OPC_{rank}", LAYOUT, family="opc_n3") for rank in range(1, stations)]
    r, h, s = schema.readings.c, schema.hours.c, schema.streams.c
    days = [
        (r.t_utc_ms >= START_MS + day * DAY_MS, r.t_utc_ms < START_MS + (day + 1) * DAY_MS) for day in range(MONTH_DAYS)
    ]
    for table, spans in ((schema.readings, days), (schema.hours, [(h.hour > 0,)])):
        _, *more = table.c
        for span in spans:
            for other in others:
                copied = select(literal(other.id), *more).where(table.c.stream_id == first.id, *span)
                with store.writes() as connection:
                    connection.execute(insert(table).from_select([column.name for column in table.c], copied))
    with store.writes() as connection:
        connection.execute(update(schema.streams).values(next_number=MONTH_DAYS * AT_ONCE + 1).where(s.id != first.id))
        cursors = [{"stream_id": other.id, "reader": HOURS, "number": MONTH_DAYS * AT_ONCE} for other in others]
        connection.execute(insert(schema.cursors), cursors)


def charts(stations: list[int]) -> Iterator[Row]:
    """Measure the charts of a month of one station, from the disk and from memory, in databases of several sizes."""
    (ROOT / "build").mkdir(exist_ok=True)
    for count in stations:
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
            folder = Path(name)
            path = folder / "central.db"
            with Store.open(str(path)) as store:
                filled = _fill(store, 1, MONTH_DAYS)
                before_s = time.process_time()
                update_hours(store)
                rate = filled / (time.process_time() - before_s)
                _copy(store, count)
                readings, size = count * filled, store.used_bytes()
            what = f"{count} stations, a month at 10 s, {readings / 1e6:.1f} million readings"
            yield Row(what, f"{size / 1e9:.2f} GB; hourly statistics {rate:.0f}/s of processor time")
            with server(folder, str(path), open=True) as there, httpx.Client(base_url=there.url, timeout=300) as client:
                for form in ("mean", "raw"):
                    asked = {
                        "gadget": f"OPC_{count // 2}", "name": NAME, "form": form, "timestamp__gte": iso_time(START_MS),
                        "timestamp__lte": iso_time(START_MS + MONTH_DAYS * DAY_MS),
                    }  # fmt: skip
                    times: list[float] = []
                    _forget(path)
                    used_s = time.process_time()
                    for _ in range(4):
                        began_s = time.perf_counter()
                        answer = client.get("/api/v1/series/", params=asked).raise_for_status()
                        times.append(time.perf_counter() - began_s)
                    if not answer.json()["points"]:
                        raise ValueError(f"{path}: no points")
                    used_s = (time.process_time() - used_s) / len(times)
                    result = f"{1e3 * times[0]:.0f} ms from the disk, {1e3 * min(times[1:]):.0f} ms from memory"
                    result += f"; {1e3 * used_s:.0f} ms of processor time"
                    title = "means" if form == "mean" else "lowest and highest readings"
                    yield Row(f"- chart of a month: {title}", result, f"{MAX_CHART_S:.0f} s", times[0] <= MAX_CHART_S)


def _forget(path: Path) -> None:
    """Remove a file from the memory of the kernel."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    raise SystemExit(main())
