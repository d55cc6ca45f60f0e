from scripts.bench.station_fault_statistics import (
    BAD,
    FIRST,
    KILLED,
    SLOW,
    STALLED,
    START,
    STORED,
    UNEXPLAINED,
    UNPLUGGED,
    UNSTORED,
    Answer,
    Fault,
    WatchedCounter,
    missing_by_cause,
    outcomes,
)
from tests.pygnc_devices.opc_n3.vectors import HISTOGRAMS, INTACT

GOOD = HISTOGRAMS[INTACT[0]]
BROKEN = GOOD[:-1] + bytes([GOOD[-1] ^ 1])


def _ask(counter: WatchedCounter, at_s: float, pause_s: float = 0.001) -> bytes:
    counter.exchange(0x30, at_s)
    counter.exchange(0x30, at_s + 0.001)
    return bytes(counter.exchange(0x30, at_s + 0.002 + rank * pause_s) for rank in range(86))


def test_records_histograms_and_marks_truncated_ones() -> None:
    counter = WatchedCounter(rest_s=2.0)
    said = _ask(counter, 10.0)
    _ask(counter, 20.0, pause_s=3.0)
    assert [answer.raw for answer in counter.answers[:1]] == [said]
    assert [answer.is_cut for answer in counter.answers[:2]] == [False, True]


def test_attributes_missing_histograms_to_the_fault_in_the_gap() -> None:
    times = [2.0, 3.0, 4.0, 9.0, 9.5, 10.0, 15.0, 16.0, 18.0, 20.0]
    answers = [Answer(at_s, GOOD) for at_s in times]
    answers[-3].raw = BROKEN
    answers[-2].is_cut = True
    faults = [Fault(5.0, KILLED), Fault(11.0, KILLED), Fault(12.0, UNPLUGGED)]
    missing = missing_by_cause(0.0, 21.0, 1.0, answers, faults)
    # What the driver caught up after the kill, half a sample twice, is less than what counts.
    assert missing == {START: 1, KILLED: 4, UNPLUGGED: 4, BAD: 1, STALLED: 1, SLOW: 0}
    assert missing.total() + len(answers) == 21


def test_each_answer_has_one_outcome() -> None:
    answers = [Answer(float(at_s), bytes([at_s])) for at_s in range(12)]
    for answer in answers:
        answer.raw = GOOD
    answers[3].raw = BROKEN
    answers[6].is_cut = True
    faults = [Fault(9.5, KILLED)]
    found = outcomes(answers, faults, [GOOD] * 2)
    # 0 and 1 are the ones that are stored; 3 is bad, 4 comes after it; 6 is cut, 7 comes after it; 9 was on its way
    # when the logger was killed, 10 is the first of the next one; nothing speaks for 2, 5, 8 and 11.
    assert found == {STORED: 2, BAD: 1, FIRST: 3, STALLED: 1, UNSTORED: 1, UNEXPLAINED: 4}
