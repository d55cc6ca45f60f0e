"""What a user of a station can cause or mend."""


class StationError(Exception):
    """The message names file, port or server, and what helps."""
