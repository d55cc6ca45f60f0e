import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from pygnc_station.batch_format import BatchWriter, Metadata, StreamEntry
from pygnc_station.server_settings import Limits
from pygnc_station.store import query
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.retry import retry_state
from tests.pygnc_station.server.samples import Running, batch_of, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, new

pytestmark = pytest.mark.slow
ID = "b" * 32


def _zip(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in entries.items():
            archive.writestr(name, octets)
    return buffer.getvalue()


def _good(tmp_path: Path, change: Callable[[BatchWriter], None], **metadata: Any) -> bytes:  # noqa: ANN401 - any field
    path = tmp_path / "made.zip"
    writer = BatchWriter(path, 1_790_000_000_000)
    change(writer)
    given = {"format": 1, "batch_id": "a" * 32, "name": "n", "station": "s", "created": "", "type": "", "mode": "LIVE"}
    writer.finish(Metadata(**given | {"streams": ()} | metadata))  # type: ignore[arg-type]
    writer.close()
    return path.read_bytes()


def _nothing(_: BatchWriter) -> None:
    pass


def _stream(origin: str = "o", count: int = 0) -> StreamEntry:
    return StreamEntry("a.csv", "g", "", origin, LAYOUT, 1, 5, count)


def _row(tmp_path: Path, cells: str) -> bytes:
    stream = msgspec.structs.replace(_stream(count=1), last=1 << 70)
    return _good(tmp_path, lambda w: w.add("a.csv", [_HEAD, cells.encode(), b"\r\n"]), streams=(stream,))


def _packed(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("manifest.json", b"{}")
    return buffer.getvalue()


def _broken_inside(tmp_path: Path) -> bytes:
    octets = bytearray(_good(tmp_path, lambda w: w.add("a.csv", [_HEAD, b"1" * 500]), streams=(_stream(),)))
    start = octets.index(b"a.csv") + len(b"a.csv") + 20  # beyond the extra field of large files
    octets[start : start + 20] = b"\xff" * 20
    return bytes(octets)


_HEAD = b"number,time,t_utc_ms,quality,lost_before,flags,rate_z_rad_s,temp_degc,text,raw\r\n"
BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "no zip": (lambda _: b"hello" * 50, "damaged zip"),
    "no manifest": (lambda _: _zip({"a.csv": b"1"}), "manifest.json is missing"),
    "a path that leads out": (lambda _: _zip({"../../etc/passwd": b"1"}), "'../../etc/passwd'"),
    "an absolute path": (lambda _: _zip({"/etc/passwd": b"1"}), "'/etc/passwd'"),
    "a hidden name": (lambda _: _zip({"files/.ssh": b"1"}), "'files/.ssh'"),
    "a bomb": (lambda _: _zip({"a.csv": bytes(60_000_000)}), "unpack to 60000000"),
    "two alike": (lambda _: _zip({"a.csv": b"1", "A.csv": b"2"}), "the same name"),
    "metadata that are none": (lambda p: _good(p, _nothing, format="x"), "metadata.json"),
    "an unknown format": (lambda p: _good(p, _nothing, format=9), "unknown format 9"),
    "a missing entry": (lambda p: _good(p, _nothing, streams=(_stream(),)), "a.csv is missing"),
    "a wrong header": (
        lambda p: _good(p, lambda w: w.add("a.csv", [b"x\r\n"]), streams=(_stream(),)),
        "header does not match",
    ),
    "a wrong count": (
        lambda p: _good(p, lambda w: w.add("a.csv", [_HEAD]), streams=(_stream(count=3),)),
        "has 0 readings instead of 3",
    ),
    "a row that is none": (
        lambda p: _good(p, lambda w: w.add("a.csv", [_HEAD, b"1,2\r\n"]), streams=(_stream(),)),
        "line 2: 2 cells",
    ),
    "text that is none": (
        lambda p: _good(p, lambda w: w.add("a.csv", [_HEAD, b"\xff\xff\r\n"]), streams=(_stream(),)),
        "codec",
    ),
    "another way of packing": (lambda _: _packed(zipfile.ZIP_LZMA), "compression method 14"),
    "deflated wrongly": (_broken_inside, "damaged zip"),
    "a time that no calendar has": (
        lambda p: _row(p, f"1,,{10**18},0,0,,1,1,,"),
        "line 2: t_utc_ms is 1e+18; the range is 0 to",
    ),
    "a number that no database has": (
        lambda p: _row(p, f"{1 << 63},,0,0,0,,1,1,,"),
        "line 2: number is 9.22337e+18; the range is 1 to",
    ),
    "a quality that no database has": (
        lambda p: _row(p, f"1,,0,{10**30},0,,1,1,,"),
        "line 2: quality is 1e+30; the range is 0 to",
    ),
    "a gap that no database has": (
        lambda p: _row(p, "1,,0,0,-1,,1,1,,"),
        "line 2: lost_before is -1; the range is 0 to",
    ),
}


def _client(there: Running) -> httpx.Client:
    return httpx.Client(base_url=there.url, headers={"authorization": f"Bearer {there.new_key()}"})


def _sent(client: httpx.Client, octets: bytes) -> dict[str, str]:
    """Announce and send a batch; return what the server says of it."""
    said = {"name": "n", "bytes": len(octets), "sha256": hashlib.sha256(octets).hexdigest()}
    client.put(f"/api/v1/batches/{ID}", json=said).raise_for_status()
    told: dict[str, str] = client.patch(f"/api/v1/batches/{ID}", params={"offset": 0}, content=octets).json()
    return told


@pytest.mark.parametrize("name", BAD)
def test_rejects_invalid_batches_with_a_reason_and_keeps_their_files(tmp_path: Path, name: str) -> None:
    make, why = BAD[name]
    octets = make(tmp_path)
    with server(tmp_path / "server") as there, _client(there) as client:
        told = _sent(client, octets)
        assert told["state"] == "rejected"
        assert why in told["reason"]
        assert client.get(f"/api/v1/batches/{ID}").json() == told
        assert query.streams(there.store) == []
        assert (there.folder / "rejected" / f"{ID}.zip").read_bytes() == octets


def test_accepts_long_raw_bytes_and_rejects_cells_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = hashlib.shake_256(b"").digest(100_000)
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        batches_made = []
        for rank in range(2):
            reading = new(rank)._replace(raw=raw)
            store.append(store.stream("opc", LAYOUT), [reading])
            batches_made += make_batch(store, settings, clock_ms())
            if rank:
                monkeypatch.setattr("pygnc_station.batch_format._MAX_CELL_CHARACTERS", 100_000)
            report = upload(store, settings)
        (stream,) = query.streams(there.store)
        assert [item.raw for item in query.between(there.store, [stream])] == [raw]
    (rejected,) = report.rejected
    assert rejected == (batches_made[1].name, "field larger than field limit (100000)")


def test_the_manifest_reveals_a_single_wrong_byte(tmp_path: Path) -> None:
    octets = _zip({"a.csv": b"1", "manifest.json": b'{"entries":{"a.csv":{"sha256":"00","bytes":1},"metadata.json":'
                   b'{"sha256":"00","bytes":2}}}', "metadata.json": b"{}"})  # fmt: skip
    with server(tmp_path / "server") as there, _client(there) as client:
        assert _sent(client, octets)["state"] == "rejected"


def test_a_rejected_batch_does_not_delay_the_next(tmp_path: Path) -> None:
    limits = Limits(batch_bytes=3_000)
    with server(tmp_path / "server", limits=limits) as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        large = batch_of(store, settings, range(2000))
        small = batch_of(store, settings, range(1))
        report = upload(store, settings)
        assert report.accepted == [small.name]
        ((name, reason),) = report.rejected
        assert (name, str(large.bytes) in reason) == (large.name, True)
        assert batches(store, BatchState.REJECTED)[0].name == large.name
        assert retry_state(store, "upload").attempts == 0
