"""The orbit task's answers reach who waits for them, announced or not."""

from pathlib import Path

import msgspec
import numpy as np
import zmq

from pygnc.bus.messages import BatchEnd, OrbitMessage, OrbitWatermark
from pygnc.bus.streams import StreamReader, StreamWriter
from pygnc.configuration.settings import Settings
from pygnc.formats.sense import STANDARD_LAYOUT
from pygnc.inputs.sense_file import sense_messages
from pygnc.tasks.orbit.task import OrbitTask
from tests.pygnc.tasks.runs import run_in

DEMO = Path(__file__).resolve().parents[4] / "data" / "demo" / "sense.bin"
RECORDS = 8


def test_a_new_reader_gets_earlier_estimates_even_if_none_follow(tmp_path: Path) -> None:
    run = run_in(tmp_path)  # begins long before the batch: there is nothing to predict
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        inputs = StreamWriter(context, run.runtime, "input", run.open_journal("input"))
        task = OrbitTask(run, context, lambda *_: None)
        decode = msgspec.msgpack.Decoder(OrbitMessage).decode
        reader = StreamReader(context, run.runtime, "orbit", run.journal_folders, decode)
        assert reader.receive(100) == []
        records = np.frombuffer(DEMO.read_bytes()[: RECORDS * STANDARD_LAYOUT.size], STANDARD_LAYOUT.record)
        messages = sense_messages(records, np.arange(RECORDS), "sense.bin", STANDARD_LAYOUT, 1, settings=Settings())
        last = len(messages) + 1
        inputs.write([*messages, BatchEnd(seq=last, cause="")])
        while task.progress().last_sequence_processed < last:
            task.work()
        while reader.socket.poll(100):  # all announcements are lost
            reader.socket.recv_multipart()
        (joins,) = task.stream_sockets()
        assert joins.poll(5000)
        task.serve_streams()
        assert reader.socket.poll(5000)
        reader.receive(100)
        answers = reader.receive(100)
        assert [answer.seq for answer in answers if hasattr(answer, "seq")] == list(range(1, len(answers) + 1))
        assert isinstance(answers[-1], OrbitWatermark)
        assert answers[-1].last_input_seq == last
    finally:
        context.destroy(linger=0)
