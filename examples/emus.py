"""Request cell voltages of an EMUS battery: `EMUS_SERIAL_PORT=/dev/ttyUSB0 python examples/emus.py`.

This script uses the API of emus-bms; new programs should use `Emus.open(port)` and `read_cells()`.
"""

import sys
import threading
from typing import Any

from emus_lib.config import EMUS_SERIAL_PORT
from emus_lib.constants import SEN_BV1, SEN_BV2
from emus_lib.helpers import enc, init_logging
from emus_lib.queue.responsequeue import ResponseQueue
from emus_lib.serial.emus import EmusSerial
from emus_lib.serial.locker import Locker
from pygnc_devices.errors import PortError

SEN_ONLY = [SEN_BV1, SEN_BV2]
SEN_RESPONSE_DEFINITION: dict[str, dict[str, int]] = {
    SEN_BV1: {"length": 1},
    SEN_BV2: {},  # all sentences; {"length": 2} waits for two
}


def main() -> int:
    """Print sum, average, lowest and highest voltage as JSON; the exit code is 0 if all cells responded."""
    logger = init_logging("emus")
    while Locker.is_locked("emus"):
        pass
    Locker.lock("emus")
    q = ResponseQueue(SEN_RESPONSE_DEFINITION, timeout=30)
    serial = EmusSerial(EMUS_SERIAL_PORT, SEN_ONLY, SEN_RESPONSE_DEFINITION)
    serial.set_logger("emus")
    try:
        serial.open()
    except PortError as error:
        logger.error("%s", error)  # noqa: TRY400 - the message is sufficient
        Locker.unlock("emus")
        return 1
    serial.set_queue(q)
    thread = threading.Thread(target=serial.read, args=[False])
    thread.start()
    for request in SEN_RESPONSE_DEFINITION:
        serial.write(request)
    while not q.is_queue_processed() and not q.has_timed_out():
        pass
    serial.close()
    thread.join()
    Locker.unlock("emus")
    print(enc(summary(q.get_items())))
    if q.unanswered:
        logger.error("incomplete responses: %s", ", ".join(sorted(q.unanswered)))
    return 1 if q.unanswered or q.has_timed_out() else 0


def summary(items: dict[str, Any]) -> dict[str, Any]:
    """Return the summary of the responses; cells are numbered from 1, string after string."""
    cells: dict[tuple[int, int], float] = {}
    for group in (item["values"] for item in items.get(SEN_BV2, [])):
        first = group["CELL NUMBER OF FIRST CELL IN GROUP"]
        for number, voltage in enumerate(group["INDIVIDUAL CELL VOLTAGE"], first or 0):
            cells[group["CELL STRING NUMBER"], number] = voltage
    voltages = [cells[cell] for cell in sorted(cells)]
    pack = items[SEN_BV1][0]["values"] if SEN_BV1 in items else {}
    return {
        "total": pack.get("TOTAL VOLTAGE"),
        "avg": pack.get("AVERAGE CELL VOLTAGE"),
        "min": extreme(voltages, min(voltages, default=None)),
        "max": extreme(voltages, max(voltages, default=None)),
    }


def extreme(voltages: list[float], value: float | None) -> dict[str, float | None]:
    """Return a voltage and the number of the first cell that has it."""
    return {"number": None if value is None else voltages.index(value) + 1, "value": value}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as problem:
        sys.exit(f"{problem.filename}: {problem.strerror}; EMUS_HOME names the folder of locks and logs")
