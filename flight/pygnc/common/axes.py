"""Names of the signed axes of a sensor."""

from typing import Final

AXES: Final = ("+x", "+y", "+z", "-x", "-y", "-z")
"""Their places, from 1 on, are the digits of the axes in the status record."""
