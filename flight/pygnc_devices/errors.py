"""Errors of devices and ports. Their messages tell users what to do."""


class DeviceError(Exception):
    """Base class of device errors."""


class PortError(DeviceError):
    """The port cannot be opened."""


class PortBusyError(PortError):
    """Another program uses the port."""


class PortGoneError(DeviceError):
    """The port was lost: unplugged, or closed by the other end."""


class EndOfRecordingError(DeviceError):
    """The recording has been read to its end."""


class NoAnswerError(DeviceError):
    """The device did not answer in time, in all attempts."""


class RefusedError(DeviceError):
    """The device refused the request."""


class WriteForbiddenError(DeviceError):
    """The operation would change the device, which was opened without permission for that."""


class SilenceError(DeviceError):
    """No reading came within the given time."""


class AbortedError(DeviceError):
    """The operation was aborted before its end."""
