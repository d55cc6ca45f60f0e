"""Controller and Pi's end of the line in virtual time: files, packets and counters on faulty lines."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pygnc.formats import status
from pygnc.host.sentence_types import GPSS, LIVE_TYPES, SENS
from pygnc_controller.emulator.controller import UNSETTLED, Controller
from pygnc_controller.emulator.host_transfer import DownloadReceiver, TransferState
from pygnc_controller.emulator.scenario import TimedPacket
from pygnc_controller.emulator.serial_line import LineFaults, SerialLine
from scripts.bench.virtual_link import CTRL_C, LineEnd, VirtualLink, VirtualPi

STATUS = status.encode({"generation": 3})
INFO = b"PyGNC run 1" + b"i" * 180


class Link:
    def __init__(self, home: Path, faults: LineFaults | None = None, seed: int = 0) -> None:
        self.controller = Controller(7)
        self.pi = VirtualPi(home, STATUS, INFO)
        self.lines = [SerialLine(2 * seed + k, faults or LineFaults()) for k in range(2)]
        host = LineEnd(self.controller.receive, self.controller.next_output, self.controller.wakeup_s)
        self.session = VirtualLink([host, self.pi.end()], self.lines)

    def until(self, is_done: object, limit_s: float = 600.0) -> None:
        assert callable(is_done)
        assert self.session.run(is_done, limit_s), f"not within {limit_s} s"

    def pass_time(self, duration_s: float) -> None:
        end_s = self.session.now_s + duration_s
        self.session.at(end_s, lambda _: None)
        self.until(lambda: self.session.now_s >= end_s, end_s + 1.0)


def packets(count: int, interval_s: float = 0.5) -> list[TimedPacket]:
    sizes = {SENS: 30, GPSS: 99}
    return [
        TimedPacket(k * interval_s, kind, (), k.to_bytes(4, "big") + bytes(sizes[kind] - 4))
        for k in range(count)
        for kind in [SENS if k % 2 else GPSS]
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    rate=st.sampled_from([0.0, 1e-4, 3e-3]),
    cut=st.sampled_from([(), ((3.0, 4.0),), ((2.0, 14.0),)]),
    speed=st.sampled_from([1.0, 50.0]),
)
def test_every_packet_is_delivered_once_or_reported_lost(
    tmp_path: Path, seed: int, rate: float, cut: tuple[tuple[float, float], ...], speed: float
) -> None:
    link = Link(tmp_path, LineFaults(rate, rate, rate, rate, cuts=cut), seed)
    link.controller.stream(iter(packets(60)), speed, 0.0)
    link.until(lambda: link.controller.channel.is_ready)
    link.until(lambda: link.controller.is_streamed)
    books = link.controller.counters
    sent = sum(books.sent[kind] for kind in LIVE_TYPES)
    acknowledged = sum(books.acknowledged[kind] for kind in LIVE_TYPES)
    lost = sum(books.lost_of(kind) for kind in LIVE_TYPES)
    arrived = Counter(body for _, body in link.pi.packets)
    assert sent == 60 == acknowledged + lost
    assert books.is_balanced
    for ticket, packet in zip(link.controller.streamed, packets(60), strict=True):
        assert packet.body in arrived or ticket in books.lost_tickets
    assert max(arrived.values(), default=1) == 1 or link.pi.interrupts


def test_an_upload_resumes_after_a_false_ctrl_c(tmp_path: Path) -> None:
    link = Link(tmp_path)
    content = bytes(range(256)) * 100
    upload = link.controller.upload("sense.bin", content, 0.0)
    link.until(lambda: upload.offset > 10_000)
    link.lines[0].write(CTRL_C, link.session.now_s)
    began_s = link.session.now_s
    link.until(lambda: upload.state is TransferState.DONE)
    assert link.pi.interrupts == 1
    assert (tmp_path / "sense.bin").read_bytes() == content
    assert link.session.now_s - began_s < 1.5 + len(content) / 7000.0  # the upload was not restarted
    assert link.controller.counters.lost_of("UPCH") > 0
    assert link.controller.counters.is_balanced


def test_a_list_of_many_pages_is_complete_after_a_restart_of_main_py(tmp_path: Path) -> None:
    (tmp_path / "pygnc_logs" / "run-00001").mkdir(parents=True)
    for number in range(40):
        (tmp_path / "pygnc_logs" / "run-00001" / f"input-{number:05d}.pgj").write_bytes(bytes(number))
    link = Link(tmp_path, LineFaults(flipped=1e-3))
    link.until(lambda: link.controller.channel.is_ready)
    link.controller.list_files(link.session.now_s)
    link.session.at(link.session.now_s + 0.05, lambda now_s: link.lines[0].write(CTRL_C, now_s))
    link.until(lambda: link.controller.listing is not None)
    assert sorted(listed.size for listed in link.controller.listing or []) == list(range(40))


def test_downloads_are_exact_and_rejections_reported(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    (tmp_path / "pygnc_batch").mkdir()
    (tmp_path / "pygnc_batch" / "sense.bin").write_bytes(content)
    link = Link(tmp_path, LineFaults(lost=2e-4, doubled=2e-4))
    download: DownloadReceiver = link.controller.download("pygnc_batch/sense.bin", 0.0)
    link.until(lambda: download.state is TransferState.DONE)
    assert download.content == content
    refused = link.controller.download("/etc/passwd", link.session.now_s)
    link.until(lambda: link.controller.is_transferred)
    assert refused.state is TransferState.REFUSED
    assert "may not be read" in refused.cause


def test_status_requests_are_answered_and_timed(tmp_path: Path) -> None:
    link = Link(tmp_path)
    link.controller.watch(1.0, 0.0)
    link.pass_time(10.0)
    assert link.controller.reports.status == STATUS
    assert link.controller.reports.info == INFO.decode()
    assert len(link.controller.reports.response_times_s) == pytest.approx(10, abs=1)
    assert max(link.controller.reports.response_times_s) < 0.09
    link.controller.cancel_all()
    before = link.controller.counters.sent["STRQ"]
    link.pass_time(5.0)
    assert link.controller.counters.sent["STRQ"] == before


@pytest.mark.parametrize("beside", ["nothing", "a stream", "an upload", "a download"])
def test_the_status_arrives_within_100_ms_beside_any_other_traffic(tmp_path: Path, beside: str) -> None:
    link = Link(tmp_path)
    controller = link.controller
    link.until(lambda: controller.channel.is_ready)
    content = bytes(200_000)
    if beside == "a stream":
        controller.stream(iter(packets(60)), 1.0, link.session.now_s)
    elif beside == "an upload":
        controller.upload("sense.bin", content, link.session.now_s)
    elif beside == "a download":
        (tmp_path / "pygnc_batch").mkdir()
        (tmp_path / "pygnc_batch" / "sense.bin").write_bytes(content)
        controller.download("pygnc_batch/sense.bin", link.session.now_s)
    controller.watch(0.317, link.session.now_s)
    link.pass_time(12.0)
    assert controller.reports.status == STATUS
    assert len(controller.reports.response_times_s) > 35
    assert max(controller.reports.response_times_s) < 0.1
    assert controller.channel.counts.retried == link.pi.counts.retried == 0
    assert controller.is_transferred == (beside in {"nothing", "a stream"})  # still active


def test_unanswered_sentences_are_counted_as_lost_at_the_end(tmp_path: Path) -> None:
    link = Link(tmp_path, LineFaults(cuts=((1.0, 1e9),)))
    link.until(lambda: link.controller.channel.is_ready)
    link.controller.upload("sense.bin", bytes(50_000), link.session.now_s)
    link.pass_time(3.0)
    link.controller.restart(9)
    books = link.controller.counters
    assert books.is_balanced
    assert books.in_flight == 0
    assert any(cause == UNSETTLED for _, cause in books.lost)
