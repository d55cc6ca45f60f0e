"""Print what an EMUS battery broadcasts: `EMUS_SERIAL_PORT=/dev/ttyUSB0 python examples/emus_broadcast.py`.

This script uses the API of emus-bms; new programs should use `for reading in Emus.open(port)`.
"""

import sys
import threading

from emus_lib import constants
from emus_lib.config import EMUS_SERIAL_PORT, NO_BT3
from emus_lib.helpers import enc, init_logging
from emus_lib.queue.responsequeue import ResponseQueue
from emus_lib.serial.emus import EmusSerial
from emus_lib.serial.locker import Locker
from pygnc_devices.errors import PortError

SEN_ONLY = [
    constants.SEN_BT1,
    constants.SEN_BV1,
    constants.SEN_BC1,
    constants.SEN_CV1,
    constants.SEN_BB1,
    constants.SEN_DT1,
    constants.SEN_OT1,
]
if not NO_BT3:
    SEN_ONLY.append(constants.SEN_BT3)
SEN_RESPONSE_DEFINITION = {name: {"length": 1} for name in SEN_ONLY}


def main() -> int:
    """Print one sentence of each kind as JSON."""
    logger = init_logging("emus_broadcast")
    while Locker.is_locked("emus"):
        pass
    Locker.lock("emus")
    q = ResponseQueue(SEN_RESPONSE_DEFINITION, timeout=60)
    serial = EmusSerial(EMUS_SERIAL_PORT, SEN_ONLY)
    serial.set_logger("emus_broadcast")
    try:
        serial.open()
    except PortError as error:
        logger.error("%s", error)  # noqa: TRY400 - the message is sufficient
        Locker.unlock("emus")
        return 1
    serial.set_queue(q)
    thread = threading.Thread(target=serial.read_broadcast, args=[False])
    thread.start()
    while not q.is_queue_processed() and not q.has_timed_out():
        pass
    serial.close()
    thread.join()
    Locker.unlock("emus")
    print(enc(q.get_items()))
    return 1 if q.has_timed_out() else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as problem:
        sys.exit(f"{problem.filename}: {problem.strerror}; EMUS_HOME names the folder of locks and logs")
