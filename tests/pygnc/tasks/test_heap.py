"""Threads take their memory from the heap that is trimmed."""

import subprocess
import sys

CODE = """
import threading
from pathlib import Path
from pygnc.tasks import heap

heap.share_among_threads()
blocks = []
thread = threading.Thread(target=lambda: blocks.extend(bytes(60_000) for _ in range(30)))
thread.start()
thread.join()
heap.give_back()
lines = Path("/proc/self/maps").read_text().splitlines()
bounds = next(line for line in lines if line.endswith("[heap]")).split()[0].split("-")
first, last = (int(bound, 16) for bound in bounds)
print(sum(first <= id(block) < last for block in blocks))
"""


def test_threads_take_their_memory_from_the_one_heap() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert int(done.stdout) == 30
