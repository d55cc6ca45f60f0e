"""EMUS control unit with the interface of `emus-bms`: a thread of the script reads sentences into a queue."""

import logging
from collections.abc import Collection, Mapping
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from emus_lib import config
from emus_lib.queue.responsequeue import Item, ItemValue, ResponseQueue
from pygnc_devices.emus.cells import CellData
from pygnc_devices.emus.driver import DEFAULT_BAUD, Emus
from pygnc_devices.emus.operations import ask, read_cells
from pygnc_devices.emus.sentences import SENTENCES, SUMMARY
from pygnc_devices.errors import PortError
from pygnc_devices.reading import Reading
from pygnc_devices.serial_port import find_usb_port
from pygnc_devices.subscriptions import Subscription

_POLL_S: Final = 0.1
_GROUP: Final = ("CELL STRING NUMBER", "CELL NUMBER OF FIRST CELL IN GROUP", "SIZE OF GROUP")
_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "BV1": ("NUMBER OF CELLS", "MIN CELL VOLTAGE", "MAX CELL VOLTAGE", "AVERAGE CELL VOLTAGE", "TOTAL VOLTAGE"),
    "BT1": (
        "NUMBER OF CELLS",
        "MIN CELL MODULE TEMPERATURE",
        "MAX CELL MODULE TEMPERATURE",
        "AVERAGE CELL MODULE TEMPERATURE",
    ),
    "BT3": ("NUMBER OF CELLS", "MIN CELL TEMPERATURE", "MAX CELL TEMPERATURE", "AVERAGE CELL TEMPERATURE"),
    "BB1": (
        "NUMBER OF CELLS",
        "MIN CELL BALACING RATE",  # sic: the label of `emus-bms`
        "MAX CELL BALANCING RATE",
        "AVERAGE CELL BALANCING RATE",
        "BALANCING VOLTAGE THRESHOLF",  # sic
    ),
    "BC1": ("BATTERY_CHARGE", "BATTERY CAPACITY", "STATE OF CHARGE"),
    "CV1": ("TOTAL VOLTAGE", "CURRENT"),
    "VR1": ("HARDWARE TYPE", "SERIAL NUMBER", "FIRMWARE VERSION"),
    "OT1": ("CHARGER", "HEATER"),
    "DT1": (
        "SPEED",
        "DISTANCE SINCE CHARGE",
        "MOMENTARY CONSUMPTION",
        "ESTIMATED DISTANCE LEFT",
        "LAST CHARGE ENERGY",
        "LAST DISCHARGE ENERGY",
        "LAST TRIP AVERAGE CONSUMPTION",
        "ESTIMATED DISTANCE LEFT BASED ON LAST TRIP",
        "AVERAGE DISCHARGE ENERGY",
        "MAX DISCHARGE ENERGY",
        "CURRENT TRIP AVERAGE CONSUMPTION",
        "ESTIMATED DISTANCE LEFT BASED ON AVG CONSUMPTION",
    ),
}
_CELLS: Final = {
    "BV2": "INDIVIDUAL CELL VOLTAGE",
    "BT2": "INDIVIDUAL CELL MODULE TEMPERATURES",
    "BT4": "INDIVIDUAL CELL TEMPERATURES",
    "BB2": "INDIVIDUAL CELL MODULE BALANCING RATE",
}


def item_of(reading: Reading) -> Item:
    """Return a sentence in the form of `emus-bms`: `name`, and `values` by label."""
    name, values = reading.packet.name, list(reading.values.values())
    if name in _CELLS:
        elements = [value for value in values[len(_GROUP) :] if value is not None]
        labelled: dict[str, ItemValue] = dict(zip(_GROUP, values, strict=False))
        return {"name": name, "values": labelled | {_CELLS[name]: elements}}
    if name == "unknown":
        return {"name": str(reading.values["name"]), "values": {"TEXT": reading.values["text"]}}
    labels = _LABELS.get(name) or tuple(field.name.upper().replace("_", " ") for field in SENTENCES[name].fields)
    return {"name": name, "values": dict(zip(labels, values, strict=True))}


def name_of(reading: Reading) -> str:
    """Return the name of a reading's sentence, including unknown sentences."""
    return str(reading.values["name"]) if reading.packet.name == "unknown" else reading.packet.name


class EmusSerial:
    """EMUS control unit.

    Args:
        port_name: serial port; None selects the port with the USB ids EMUS_SERIAL_VID and EMUS_SERIAL_PID.
        filter_response: names of sentences to put into the queue; None selects all.
        sentence_response_definition: unused; the queue contains the definition.
    """

    def __init__(
        self,
        port_name: str | None = None,
        filter_response: Collection[str] | None = None,
        sentence_response_definition: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        self.port_name = port_name
        self.baudrate = DEFAULT_BAUD
        self.filter_response = filter_response
        self.sentence_response_definition = sentence_response_definition
        self.connected = False
        self.logger: logging.Logger | None = None
        self.q: ResponseQueue | None = None
        self.serial = self
        self._device: Emus | None = None
        self._readings: Subscription | None = None
        self._finished = SimpleQueue[tuple[str, bool]]()

    def set_logger(self, name: str) -> None:
        """Log under this name; see `helpers.init_logging`."""
        self.logger = logging.getLogger(name)

    def set_queue(self, q: ResponseQueue) -> None:
        """Set the queue that receives sentences."""
        self.q = q

    def get_port_name(self) -> str:
        """Return the port with the USB ids of the settings.

        Raises:
            PortError: the settings contain no USB ids, or not exactly one port has them.
        """
        if not config.EMUS_SERIAL_VID or not config.EMUS_SERIAL_PID:
            raise PortError(
                "the serial port is not set; pass port_name, or set EMUS_SERIAL_VID and EMUS_SERIAL_PID in .env"
            )
        return find_usb_port(f"usb://{config.EMUS_SERIAL_VID}:{config.EMUS_SERIAL_PID}")

    def open(self) -> bool:
        """Open the port.

        Raises:
            PortError: the port cannot be opened.
        """
        self.port_name = self.port_name or self.get_port_name()
        self._log(logging.INFO, "Open serial to %s", self.port_name)
        self._device = Emus.open(self.port_name, self.baudrate)
        self._readings = self._device.subscribe()
        self.connected = True
        return self.connected

    def isOpen(self) -> bool:  # noqa: N802 - the name in `emus-bms`
        """Return True if the port is open."""
        return self._device is not None and self.connected and self._device.is_connected

    def close(self) -> None:
        """Close the port; `read` then returns."""
        self.connected = False
        if self._device is not None:
            self._device.close()
        self._log(logging.INFO, "Close serial to %s", self.port_name)

    def read(self, blocking: bool = True) -> None:  # noqa: FBT001, FBT002, ARG002 - the signature in `emus-bms`
        """Put sentences, broadcast or requested, into the queue until `close`."""
        readings = self._readings
        if readings is None:
            raise PortError(f"{self.port_name}: the port is not open; call open() first")
        self._log(logging.INFO, "Listening...")
        while not readings.is_over:
            reading = readings.take(_POLL_S)
            if reading is None:
                self._finish()
                continue
            name = name_of(reading)
            self._log(logging.INFO, "Package read %s", name)
            if self.filter_response is not None and name not in self.filter_response:
                self._log(logging.DEBUG, "%s is filtered out", name)
            elif self.q is not None:
                self.q.put(name, item_of(reading))

    read_broadcast = read

    def write(self, sentence: str) -> None:
        """Request a sentence; cells that are lost are requested again."""
        if self._device is None:
            raise PortError(f"{self.port_name}: the port is not open; call open() first")
        self._log(logging.INFO, "Serial write %s", sentence)
        procedure: Any = read_cells if sentence in SUMMARY else ask
        task = self._device.engine.start(procedure(self._device.unit, sentence))
        task.future.add_done_callback(partial(self._note, sentence))

    def _note(self, sentence: str, future: Any) -> None:  # noqa: ANN401 - result of either procedure
        """Record that a request has ended; `read` may still have to process its last sentences."""
        is_answered = future.exception() is None
        if is_answered and isinstance(result := future.result(), CellData):
            is_answered = result.is_complete
        self._finished.put((sentence, is_answered))

    def _finish(self) -> None:
        while not self._finished.empty():
            sentence, is_answered = self._finished.get()
            if not is_answered:
                self._log(logging.WARNING, "%s was not answered completely", sentence)
            if self.q is not None:
                self.q.finish(sentence, is_answered=is_answered)

    def _log(self, level: int, message: str, *arguments: object) -> None:
        if self.logger is not None:
            self.logger.log(level, message, *arguments)
