"""The archive of the benchmark contains what a server would have stored."""

from pathlib import Path

import pytest
from sqlalchemy import delete, select

from pygnc_station.store import query, schema
from pygnc_station.store.hourly import update_hours
from pygnc_station.store.store import Store
from scripts.bench import bench_archive


def test_copies_are_equal_to_what_the_server_stores_and_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_archive, "MONTH_DAYS", 1)
    with Store.open(str(tmp_path / "r.db")) as store:
        bench_archive._fill(store, 1, 1)
        update_hours(store)
        bench_archive._grow(store, 2)
        with store.writes() as connection:  # as if the copy had been interrupted after 20 hours
            last_hours = schema.hours.c.hour % 24 >= 20
            late = schema.readings.c.t_utc_ms >= bench_archive.START_MS + 20 * 3_600_000
            connection.execute(delete(schema.hours).where(schema.hours.c.stream_id == 2, last_hours))
            connection.execute(delete(schema.readings).where(schema.readings.c.stream_id == 2, late))
            connection.execute(delete(schema.cursors).where(schema.cursors.c.stream_id == 2))
        bench_archive._grow(store, 3)
        contents = []
        for stream in query.streams(store):
            with store.reads() as connection:
                contents.append(
                    [
                        connection.execute(select(*columns).where(of_stream == stream.id).order_by(*columns[:2])).all()
                        for of_stream, *columns in (schema.readings.c, schema.hours.c)
                    ]
                )
            assert stream.next_number == bench_archive.AT_ONCE + 1
        assert contents[0] == contents[1] == contents[2]
        assert [len(rows) for rows in contents[0]] == [bench_archive.AT_ONCE, 24]
        assert update_hours(store) == 0
