"""Exploration of the streaming interface and of the supervisor: a row of a table for each search.

Usage: python -m tests.exploration.campaign [--only TEXT] [--states N]

Exits with code 1 if a property does not hold; the shortest way there is printed.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from scripts.bench.table import print_table
from tests.exploration.protocol import Link, LinkSearch
from tests.exploration.search import Search
from tests.exploration.supervision import SupervisorSearch, Tasks

SEARCHES: Final[tuple[Link | Tasks, ...]] = (
    Link(host_sends="r", faults=3),
    Link(pi_sends="r", faults=3),
    Link(host_sends="i", faults=3),
    Link(pi_sends="i", faults=3),
    Link(host_sends="rr", pi_sends="r", faults=1),
    Link(host_sends="ri", pi_sends="r", faults=1, restarts=1),
    Link(host_sends="Ri", faults=2),
    Link(pi_sends="Ri", faults=2),
    Link(host_sends="rr", faults=6, restarts=1, kinds="l"),
    Link(host_sends="r", faults=2, restarts=1),
    Link(pi_sends="r", faults=2, restarts=1),
    Link(host_sends="r", faults=1, restarts=2),
    Link(host_sends="i", faults=4, restarts=1, kinds="o"),
    Link(pi_sends="r", faults=4, restarts=1, kinds="o"),
    Link(transfer="upload", faults=2),
    Link(transfer="upload", faults=1, restarts=1),
    Link(transfer="download", faults=2),
    Link(transfer="download", faults=1, restarts=1, capacity=1),
    Link("controller", host_sends="r", faults=3),
    Link("controller", pi_sends="r", faults=3),
    Link("controller", host_sends="ri", pi_sends="r", faults=1, restarts=1),
    Link("controller", host_sends="Ri", faults=2),
    Link("controller", host_sends="rr", faults=6, restarts=1, kinds="l"),
    Link("controller", host_sends="r", faults=2, restarts=1),
    Link("controller", pi_sends="i", faults=2, restarts=1),
    Link("controller", host_sends="r", faults=1, restarts=2),
    Link("controller", host_sends="i", faults=4, restarts=1, kinds="o"),
    Link("controller", transfer="upload", faults=2),
    Link("controller", transfer="upload", faults=1, restarts=1),
    Tasks(tasks=("source", "status"), faults=1),
    Tasks(tasks=("source", "reader", "status"), faults=1, restarts_max=0, signals=1),
    Tasks(tasks=("line", "source", "demand", "status"), faults=1, restarts_max=0, signals=1, kinds="ef"),
    Tasks(tasks=("source", "reader"), faults=2, signals=1, kinds="e"),
)

SUPERVISOR_SHARE: Final = 40
"""Divisor of the maximum of states of a supervisor, whose steps are not found in a table and take that much longer."""


def search_of(scenario: Link | Tasks) -> Search[Any]:
    return LinkSearch(scenario) if isinstance(scenario, Link) else SupervisorSearch(scenario)


def main() -> int:
    """Run all searches; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="Run the searches whose row contains TEXT.")
    parser.add_argument("--states", type=int, default=500_000, metavar="N", help="Maximum states of one search.")
    options = parser.parse_args()
    found: list[str] = []
    total = 0

    def rows() -> Iterator[tuple[str, ...]]:
        nonlocal total
        for scenario in SEARCHES:
            if options.only not in str(scenario):
                continue
            search, begun_s = search_of(scenario), time.process_time()
            states_max = options.states if isinstance(scenario, Link) else options.states // SUPERVISOR_SHARE
            verdict = "yes"
            try:
                search.run(states_max)
            except Exception as error:  # noqa: BLE001 - none may happen
                verdict = f"NO: {type(error).__name__}: {error}"
                trail = search_of(scenario).shortest(options.states)
                found.append(f"{scenario}\n{trail[0]}\n  " + "\n  ".join(trail[1]))
            total += len(search.visited)
            bound = "" if len(search.visited) < states_max else " (bound)"
            taken_s = time.process_time() - begun_s
            longest = str(search.longest_steps), f"{search.longest_s:.1f}"
            yield str(scenario), f"{len(search.visited)}{bound}", f"{taken_s:.0f}", *longest, verdict

    print_table(("search", "states", "CPU s", "most steps to the end", "longest time to the end, s", "holds"), rows())
    sys.stdout.write(f"\n{total} distinct states\n" + "\n".join(found))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
