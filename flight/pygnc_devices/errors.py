"""Errors of devices and ports."""


class DeviceError(Exception):
    """Base class of device errors."""


class PortError(DeviceError):
    """Error raised when a port cannot be opened."""


class PortBusyError(PortError):
    """Error raised when another program uses a port."""


class PortGoneError(DeviceError):
    """Error raised when a port was lost: unplugged, or closed by the other end."""


class EndOfRecordingError(DeviceError):
    """Error raised when a recording has been read to its end."""


class NoAnswerError(DeviceError):
    """Error raised when a device did not respond in time, in all attempts."""


class RefusedError(DeviceError):
    """Error raised when a device refused a request."""


class SettingError(DeviceError):
    """Error raised when a setting, a command of a device or a value of either does not exist."""


class WriteForbiddenError(DeviceError):
    """Error raised when an operation would change a device that was opened without permission for changes."""


class SilenceError(DeviceError):
    """Error raised when no reading arrived within the time limit."""


class AbortedError(DeviceError):
    """Error raised in an operation that was aborted before its end."""
