"""What a client is told when something cannot be done."""

from enum import StrEnum, unique
from typing import Any, Final

from pygnc_devices.errors import DeviceError, NoAnswerError, PortError, PortGoneError, RefusedError
from pygnc_devices.ucb.configuration import FieldsRefusedError, ReadBackError
from pygnc_devices.ucb.fields import FieldError


@unique
class Code(StrEnum):
    """What kind of thing it is, for programs; the message says it to people."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_COMMAND = "unknown_command"
    NO_DEVICE = "no_device"
    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    BAD_VALUE = "bad_value"
    NOT_KEPT = "not_kept"
    NOT_SUPPORTED = "not_supported"
    NO_FILE = "no_file"
    TOO_LARGE = "too_large"
    LOGGING = "logging"
    STORAGE = "storage"
    UPGRADE = "upgrade"
    DEVICE = "device"


class BridgeError(Exception):
    """Something that a client asked for and cannot have.

    Args:
        code: its kind.
        message: for people.
        details: what else a program may want to know.
    """

    def __init__(self, code: Code, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.details = details

    def to_object(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {"code": str(self.code), "message": str(self), **self.details}


_CODES: Final = (
    (RefusedError, Code.REFUSED),
    (FieldError, Code.BAD_VALUE),
    (ReadBackError, Code.NOT_KEPT),
    (NoAnswerError, Code.NO_ANSWER),
    (PortError, Code.NO_DEVICE),
    (PortGoneError, Code.NO_DEVICE),
)


def from_device(error: DeviceError) -> BridgeError:
    """Return what a client is told of a device's error."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), Code.DEVICE)
    if isinstance(error, FieldsRefusedError):
        return BridgeError(code, str(error), refused=list(error.refused), accepted=list(error.accepted.items()))
    return BridgeError(code, str(error))
