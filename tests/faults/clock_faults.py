"""Steps of clocks: the computer's own, and the spacecraft's in the input."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.linked_flight import RECORDS
from tests.faults.fault import MOMENT_MAX_S, RESTARTS, Fault
from tests.faults.produced import rebooted_hour

STEP: Final = """\
import time

begin, clock, clock_ns = time.monotonic(), time.time, time.time_ns


def step_s():
    return {step_s} if time.monotonic() > begin + {after_s} else 0


time.time = lambda: clock() + step_s()
time.time_ns = lambda: clock_ns() + step_s() * 10**9
"""


class WallClock(Fault):
    """A step of the computer's clock, as Python reads it, by up to ten years."""

    name = "clock_wall"
    excluded = RESTARTS

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        step_s = self.dice.choice((-1, 1)) * self.dice.randint(3600, 315_360_000)
        after_s = self.dice.uniform(0.0, MOMENT_MAX_S)
        self.injected = f"clock step of {step_s} s after {after_s:.2f} s"
        site, home = folder / "site", folder / "home"
        site.mkdir()
        home.mkdir()
        (site / "sitecustomize.py").write_text(STEP.format(step_s=step_s, after_s=after_s))
        path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        yield home, ("env", f"PYTHONPATH={path}")


class SpacecraftClock(Fault):
    """A spacecraft clock that begins anew in the middle of the batch, as after a reboot of the controller."""

    name = "clock_spacecraft"
    reported_by = frozenset({"new_boot"})
    excluded = RESTARTS
    exact = ()

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        record = dice.randrange(10, RECORDS - 10)
        self.produced = rebooted_hour(self.produced, record)
        self.injected = f"new spacecraft time from record {record} on"
