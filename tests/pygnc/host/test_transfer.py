"""File transfers on a simulated faulty line are exact or rejected with a reason; only permitted names are accepted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc.host.channel_events import Received
from pygnc.host.sentence_types import (
    CHUNK_BYTES,
    DNCL,
    DNLS,
    DNOP,
    NAME_MAX,
    TYPES,
    UPCH,
    UPCL,
    UPOP,
    UPST,
    NakCause,
    SentenceType,
    UploadState,
)
from pygnc.host.transfer import DownloadSender, Refusal, UploadReceiver, is_readable, is_writable
from pygnc_controller.emulator.host_transfer import DownloadReceiver, TransferState, UploadSender
from pygnc_controller.emulator.serial_line import LineFaults
from tests.fakes.memory_storage import MemoryStorage
from tests.fakes.transfer_line import HostEnd, PiEnd, batch, joined

DEFAULT_BATCH, LONG_BATCH = 36_144, 108_432
RAW_BYTES_PER_S = 11_520.0
ONE_IN_TEN_THOUSAND = LineFaults(lost=2.5e-5, flipped=5e-5, doubled=2.5e-5)


def upload(size: int, faults: LineFaults | None = None, seed: int = 0) -> tuple[float, PiEnd, HostEnd]:
    content = batch(size, seed)
    host, pi = HostEnd(UploadSender("sense.bin", content, 1)), PiEnd(MemoryStorage())
    session = joined(host, pi, faults, seed)
    assert session.run(lambda: host.is_done, 400.0)
    assert pi.storage.files == {"sense.bin": content}
    return session.now_s, pi, host


def test_three_hours_of_batch_upload_in_fourteen_seconds_of_line_time() -> None:
    duration_s, _, _ = upload(LONG_BATCH)
    assert duration_s <= 14.0
    assert LONG_BATCH / duration_s >= 0.70 * RAW_BYTES_PER_S


@pytest.mark.parametrize("size", [DEFAULT_BATCH, LONG_BATCH])
@pytest.mark.parametrize("seed", range(3))
def test_an_upload_at_a_byte_error_rate_of_1e_4_is_exact(size: int, seed: int) -> None:
    duration_s, _, host = upload(size, ONE_IN_TEN_THOUSAND, seed)
    assert duration_s < 1.45 * size / (0.70 * RAW_BYTES_PER_S)
    assert host.channel.counts.retried > 0


@settings(max_examples=20)
@given(
    st.integers(0, 20_000),
    st.builds(
        LineFaults,
        lost=st.sampled_from([0.0, 1e-3]),
        flipped=st.sampled_from([0.0, 1e-3]),
        doubled=st.sampled_from([0.0, 1e-3]),
        stalled=st.sampled_from([0.0, 1e-3]),
        cuts=st.sampled_from([(), ((0.5, 2.0),), ((0.4, 25.0),)]),
    ),
    st.integers(0, 1000),
)
def test_uploads_on_a_faulty_line_are_exact(size: int, faults: LineFaults, seed: int) -> None:
    upload(size, faults, seed)


@settings(max_examples=20)
@given(st.integers(1, 20_000), st.integers(0, 1000), st.sampled_from([(), ((0.5, 2.0),), ((0.4, 25.0),)]))
def test_downloads_on_a_faulty_line_are_exact(size: int, seed: int, cuts: tuple[tuple[float, float], ...]) -> None:
    content = batch(size, seed)
    host, pi = HostEnd(DownloadReceiver("pygnc_status.bin", 1)), PiEnd(MemoryStorage({"pygnc_status.bin": content}))
    session = joined(host, pi, LineFaults(flipped=1e-3, cuts=cuts), seed)
    assert session.run(lambda: host.is_done, 400.0)
    assert isinstance(host.transfer, DownloadReceiver)
    assert bytes(host.transfer.content) == content


def test_an_upload_resumes_after_a_restart_of_the_pi() -> None:
    content = batch(DEFAULT_BATCH)
    host, pi = HostEnd(UploadSender("range/rng00007.bin", content, 1)), PiEnd(MemoryStorage())
    session = joined(host, pi)
    session.run(lambda: False, 2.5)
    (stored,) = pi.storage.parts.values()
    assert 10_000 < len(stored) < DEFAULT_BATCH
    pi.start_again()
    assert session.run(lambda: host.is_done, 60.0)
    assert pi.storage.files == {"range/rng00007.bin": content}
    offsets = [
        o.body.fields["offset"]
        for o in host.of(Received)
        if isinstance(o, Received) and o.kind is UPST and o.body.fields["state"] == UploadState.CONTINUE
    ]
    assert offsets[0] == 0
    assert offsets[1] >= len(stored)


def test_an_upload_resumes_after_a_restart_of_the_host() -> None:
    content = batch(DEFAULT_BATCH)
    host, pi = HostEnd(UploadSender("sense.bin", content, 1)), PiEnd(MemoryStorage())
    session = joined(host, pi)
    session.run(lambda: False, 2.5)
    again = HostEnd(UploadSender("sense.bin", content, 9))
    again.channel._session.number += 1
    session.ends[0] = again.end()
    assert session.run(lambda: again.is_done, 60.0)
    assert pi.storage.files == {"sense.bin": content}
    assert session.now_s < 6.0


def test_a_download_of_a_changed_file_restarts() -> None:
    pi = DownloadSender(MemoryStorage({"pygnc_info.txt": b"new text, longer"}))
    host = DownloadReceiver("pygnc_info.txt", 1, size=4, crc=5)
    host.content += b"old"
    sayings = [host.open()]
    for _ in range(6):
        answers = [answer for kind, body in sayings for answer in pi.handle(received(kind, body))]
        while (chunk := pi.next_chunk()) is not None:
            answers.append(chunk)
        sayings = [saying for kind, body in answers for saying in host.handle(received(kind, body))]
    assert host.state is TransferState.DONE
    assert bytes(host.content) == b"new text, longer"


@pytest.mark.parametrize(
    "name", ["../sense.bin", "/etc/passwd", "sense.bin.part", "range/../sense.bin", "main.py", "pygnc_status.bin"]
)
def test_names_outside_the_list_are_rejected(name: str) -> None:
    storage = MemoryStorage()
    host, pi = HostEnd(UploadSender(name, b"x" * 100, 1)), PiEnd(storage)
    session = joined(host, pi)
    assert session.run(lambda: host.is_done, 10.0)
    assert host.transfer.state is TransferState.REFUSED
    assert "may not be written" in host.transfer.cause
    assert not storage.files
    assert not storage.parts


def test_a_full_disk_rejects_the_upload() -> None:
    storage = MemoryStorage(fault=OSError(28, "No space left on device"))
    host, pi = HostEnd(UploadSender("sense.bin", b"x" * 100, 1)), PiEnd(storage)
    assert joined(host, pi).run(lambda: host.is_done, 10.0)
    assert "No space left" in host.transfer.cause


def test_a_chunk_at_a_wrong_offset_is_rejected_and_closes_the_transfer() -> None:
    pi = UploadReceiver(MemoryStorage())
    pi.handle(received(UPOP, UPOP.pack(1, 100, 0, tail=b"sense.bin")))
    for body in (UPCH.pack(1, 5, tail=b"x"), UPCH.pack(1, 0, tail=b"x")):
        with pytest.raises(Refusal) as refusal:
            pi.handle(received(UPCH, body))
        assert refusal.value.cause is NakCause.ORDER


def test_more_bytes_than_announced_are_rejected() -> None:
    pi = UploadReceiver(MemoryStorage())
    pi.handle(received(UPOP, UPOP.pack(1, 3, 0, tail=b"sense.bin")))
    with pytest.raises(Refusal, match="0 of 3 bytes") as refusal:
        pi.handle(received(UPCH, UPCH.pack(1, 0, tail=b"1234")))
    assert refusal.value.cause is NakCause.ORDER


def test_an_upload_with_a_wrong_crc_is_deleted() -> None:
    storage = MemoryStorage({"sense.bin": b"old"})
    pi = UploadReceiver(storage)
    pi.handle(received(UPOP, UPOP.pack(1, 3, 0, tail=b"sense.bin")))
    pi.handle(received(UPCH, UPCH.pack(1, 0, tail=b"123")))
    (answer,) = pi.handle(received(UPCL, UPCL.pack(1)))
    assert UPST.unpack(answer.body).fields["state"] == UploadState.DAMAGED
    assert storage.files == {"sense.bin": b"old"}
    assert not storage.parts


def test_a_file_already_in_place_needs_no_chunks() -> None:
    content = batch(5000)
    host, pi = HostEnd(UploadSender("sense.bin", content, 1)), PiEnd(MemoryStorage({"sense.bin": content}))
    session = joined(host, pi)
    assert session.run(lambda: host.is_done, 10.0)
    assert session.now_s < 0.2


def test_files_are_listed_in_pages() -> None:
    pi = DownloadSender(MemoryStorage({f"pygnc_logs/run-{k:05d}/input-00000.pgj": b"x" * k for k in range(40)}))
    names = []
    for first in (0, 16, 32):
        names += [TYPES["DNLE"].unpack(body).tail for _, body in pi.handle(received(DNLS, DNLS.pack(first)))]
    assert names == [b"pygnc_logs/run-%05d/input-00000.pgj" % k for k in range(40)]
    (end,) = pi.handle(received(DNLS, DNLS.pack(48)))
    assert TYPES["DNLE"].unpack(end.body).fields == {"index": 48, "total": 40, "size": 0}


def test_a_download_of_a_missing_file_is_rejected() -> None:
    with pytest.raises(Refusal, match="no such file"):
        DownloadSender(MemoryStorage()).handle(received(DNOP, DNOP.pack(1, 0, tail=b"pygnc_info.txt")))


def test_a_chunk_fills_whole_groups_of_base64() -> None:
    assert (6 + CHUNK_BYTES) % 3 == 0


def test_an_upload_is_not_complete_before_its_last_chunk() -> None:
    pi = UploadReceiver(MemoryStorage())
    pi.handle(received(UPOP, UPOP.pack(1, 3, 0, tail=b"sense.bin")))
    ((kind, body),) = pi.handle(received(UPCL, UPCL.pack(1)))
    assert UPST.unpack(body).fields == {"transfer": 1, "state": UploadState.CONTINUE, "offset": 0}
    assert kind is UPST


def test_only_the_open_download_can_be_closed_and_only_permitted_names_opened() -> None:
    pi = DownloadSender(MemoryStorage({"pygnc_status.bin": b"abc"}))
    pi.handle(received(DNOP, DNOP.pack(2, 0, tail=b"pygnc_status.bin")))
    assert pi.handle(received(DNCL, DNCL.pack(1))) == []
    assert pi.next_chunk() is not None
    with pytest.raises(Refusal, match="may not be read"):
        pi.handle(received(DNOP, DNOP.pack(3, 0, tail=b"pygnc.toml")))


def received(kind: SentenceType, body: bytes) -> Received:
    return Received(kind, 1, kind.unpack(body), is_late=False, is_retry=False)


WRITABLE = [
    "sense.bin",
    "pygnc.toml",
    "pygnc.toml.sha256",
    "pygnc_earth_orientation.csv",
    "pygnc_elements.txt",
    "flight.zip",
    "flight.zip.minisig",
    "range/rng00000.bin",
    "range/rng65535.bin",
    "range/partner_77/rng00012.bin",
]
READABLE = [
    "pygnc_status.bin",
    "pygnc_info.txt",
    "pygnc_omm.bin",
    "pygnc_settings_trial.json",
    "pygnc_batch/sense.bin",
    "pygnc_batch/rng00000.bin",
    "pygnc_batch/range.bin",
    "pygnc_batch/range/rng00000.bin",
    "pygnc_batch/range/partner_74/rng00000.bin",
    "pygnc_batch/range/partner_K/rng00000.bin",
    "pygnc_logs/run-00001/input-00000.pgj",
    "pygnc_logs/run-00001/attitude-00012.pgj.part",
]
NEITHER = [
    "",
    ".",
    "sense.bin/",
    "./sense.bin",
    "sense.bin\0",
    "sense.bin\n",
    "Sense.bin",
    "range/rng65536.bin",
    "range/rng00000.bin.part",
    "range//rng00000.bin",
    "rng00000.bin",
    "range/partner_73/rng00000.bin",
    "range/partner_J/rng00000.bin",
    "pygnc_logs/run-1/input-00000.pgj",
    "pygnc_logs/run-00001/../run-00001/input-00000.pgj",
    "pygnc_logs/run-00001/input-00000.pgj\n",
    "pygnc_batch/../sense.bin",
    "pygnc_batch/sense.bin.part",
    "pygnc_batch//rng00000.bin",
    "pygnc_batch/partner_74/rng00000.bin",
    ".profile",
    "pygnc_keys.txt",
    "pygnc_versions/previous",
]


@pytest.mark.parametrize("name", WRITABLE)
def test_writable_names(name: str) -> None:
    assert is_writable(name)
    assert not is_readable(name)


@pytest.mark.parametrize("name", READABLE)
def test_readable_names(name: str) -> None:
    assert is_readable(name)
    assert not is_writable(name)


@pytest.mark.parametrize("name", NEITHER)
def test_names_that_are_neither_writable_nor_readable(name: str) -> None:
    assert not is_writable(name)
    assert not is_readable(name)


@given(st.text("./rngesabi0123456789_partne\0\n", max_size=40))
def test_no_permitted_name_leaves_the_home_folder(name: str) -> None:
    if is_writable(name) or is_readable(name):
        assert ".." not in name
        assert not name.startswith("/")


def test_permitted_names_fit_a_sentence() -> None:
    assert max(map(len, [*WRITABLE, *READABLE, f"pygnc_logs/run-00001/{24 * 'a'}-00000.pgj.part"])) <= NAME_MAX
