"""What can go wrong with a device, in words for whoever has the cable in hand."""


class DeviceError(Exception):
    """Anything below."""


class PortError(DeviceError):
    """The port cannot be opened."""


class PortBusyError(PortError):
    """Another program has the port."""


class PortGoneError(DeviceError):
    """The port was there, and is not now: unplugged, or the other end hung up."""


class EndOfRecordingError(DeviceError):
    """A recorded file has been read to its end."""


class NoAnswerError(DeviceError):
    """The device did not answer in time, however often it was asked."""


class RefusedError(DeviceError):
    """The device understood and said no."""


class WriteForbiddenError(DeviceError):
    """It would change the device, which was opened without the permission for that."""


class SilenceError(DeviceError):
    """No reading for longer than was allowed."""


class AbortedError(DeviceError):
    """Given up from outside, before it was done."""
