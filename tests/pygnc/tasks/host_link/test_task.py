"""Host link task without a port."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import zmq

from pygnc.host.channel import Channel
from pygnc.host.sentence import Direction
from pygnc.host.sentence_types import DNST, NakCause
from pygnc.tasks.host_link.task import HostLinkTask, Line
from tests.pygnc.tasks.runs import run_in


def test_rejections_without_room_are_reported_together_once_there_is_room(tmp_path: Path) -> None:
    events: list[tuple[str, str]] = []
    channel = Channel(Direction.TO_HOST, 9, "pygnc")
    closed = SimpleNamespace(is_open=False, close=lambda: None)
    with zmq.Context() as context:
        task = HostLinkTask(run_in(tmp_path), context, lambda _, name, text: events.append((name, text)))
        task._lines = [Line(cast("Any", closed), cast("Any", SimpleNamespace(channel=channel, packets_lost=0)))]
        while channel.room:
            channel.send(DNST, DNST.pack(0, 0, 0, 0), 0.0)
        channel.send_nak(1, "SENS", NakCause.STORAGE, ": full", 0.0)
        channel.send_nak(2, "PGPS", NakCause.BODY, ": 3 bytes", 0.0)
        task.work()
        assert events == []
        channel._retransmitter._ordered.remove(lambda _: True)
        for _ in range(2):
            task.work()
        assert [name for name, _ in events] == ["rejections_not_sent"]
        assert events[0][1].endswith("queue: 2; the last: PGPS: 3 bytes")
        channel.counts.unsent_rejections += 1
        task.close()
    assert [name for name, _ in events] == ["rejections_not_sent"] * 2


def test_packets_that_the_host_has_given_up_are_reported_together(tmp_path: Path) -> None:
    events: list[tuple[str, str]] = []
    connection = SimpleNamespace(channel=Channel(Direction.TO_HOST, 9, "pygnc"), packets_lost=0)
    closed = SimpleNamespace(is_open=False, close=lambda: None)
    with zmq.Context() as context:
        task = HostLinkTask(run_in(tmp_path), context, lambda _, name, text: events.append((name, text)))
        task._lines = [Line(cast("Any", closed), cast("Any", connection))]
        for connection.packets_lost in (0, 2, 2, 3):
            task.work()
        assert events == [("packets_lost", "live packets that the host has given up so far: 2")]
        task.close()
    assert events[1:] == [("packets_lost", "live packets that the host has given up so far: 3")]
