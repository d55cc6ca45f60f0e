"""Parsers under test by name.

A check raises if an input violates a property: an exception that is not declared, bytes that are neither used nor
reported, a result that depends on the pieces in which the input arrives, a value that does not survive encoding, or a
number that is not finite or not in its range.
"""

from tests.fuzz.link import link_targets
from tests.fuzz.packets import packet_targets
from tests.fuzz.records import record_targets
from tests.fuzz.settings import settings_targets
from tests.fuzz.target import Target


def make_targets() -> dict[str, Target]:
    """Return all targets."""
    return packet_targets() | link_targets() | settings_targets() | record_targets()
