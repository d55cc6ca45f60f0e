"""Time to decode logs of receivers, beside the loop of each protocol's own library, in one run.

Run: python scripts/bench/bench_receivers.py [--epochs 5000] [--repetitions 5]
"""

import argparse
import io
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pynmeagps
import pysbf2
import pyubx2
from novatel_edie import oem

from pygnc.bus.messages import GnssFix
from pygnc_ground.receivers.log import read
from scripts.bench.table import print_table
from tests.fakes import receiver_logs as fake
from tests.fakes.receiver_logs import Solution


def _edie(content: bytes) -> int:
    parser = oem.Parser()
    found = 0
    for at in range(0, len(content), 1 << 14):
        parser.write(content[at : at + (1 << 14)])
        found += sum(hasattr(message, "x") and math.isfinite(message.x + message.y_1) for message in parser)
    return found


def _loop(reader: type, content: bytes) -> int:
    return sum(parsed is not None for _, parsed in reader(io.BytesIO(content)))


def _fixes(log: Path) -> int:
    return sum(isinstance(part, GnssFix) for part in read(log))


_FORMATS: dict[str, tuple[tuple[Callable[[Solution], bytes], ...], str, Callable[[bytes], int]]] = {
    "BESTXYZ, ASCII": ((fake.bestxyza,), "novatel-edie", _edie),
    "BESTXYZ, binary": ((fake.bestxyzb,), "novatel-edie", _edie),
    "NAV-PVT": ((fake.nav_pvt,), "pyubx2", lambda content: _loop(pyubx2.UBXReader, content)),
    "PVTCartesian": ((fake.pvt_cartesian,), "pysbf2", lambda content: _loop(pysbf2.SBFReader, content)),
    "GGA, GST, RMC, ZDA": ((fake.sentences,), "pynmeagps", lambda content: _loop(pynmeagps.NMEAReader, content)),
}


def _solutions(epochs: int) -> list[Solution]:
    found = []
    for number in range(epochs):
        angle = 1.1e-3 * 10.0 * number
        east, out = math.sin(angle), math.cos(angle)
        position, velocity = (6.9e6 * out, 1e6 * east, 6.8e6 * east), (-7.5e3 * east, 1e3 * out, 7.4e3 * out)
        found.append(Solution(2400 * 604_800_000 + 10_000 * number, position, velocity))
    return found


def _seconds(work: Callable[[], object], repetitions: int) -> float:
    """Return the median of the processor time."""
    taken = []
    for _ in range(repetitions):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return statistics.median(taken)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5000)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    solutions = _solutions(options.epochs)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "receiver.log"
        for name, (encoders, library, theirs) in _FORMATS.items():
            content = fake.log(solutions, *encoders)
            log.write_bytes(content)

            ours = partial(_fixes, log)
            if ours() != options.epochs or theirs(content) < options.epochs:
                raise SystemExit(f"{name}: not every epoch was decoded")
            own_s = _seconds(ours, options.repetitions)
            other_s = _seconds(partial(theirs, content), options.repetitions)
            rows.append(
                (
                    name,
                    f"{1e6 * own_s / options.epochs:.0f} us",
                    f"{1e6 * other_s / options.epochs:.0f} us",
                    library,
                    f"{own_s / other_s:.2f}",
                )
            )
    print_table(("log", "fix", "messages by the library", "library", "ratio"), rows)


if __name__ == "__main__":
    main()
