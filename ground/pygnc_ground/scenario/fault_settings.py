"""Settings of the damage done to the files."""

from pygnc_ground.scenario.section import Fraction, Section


class Damage(Section, frozen=True):
    """What happens to the records, or packets, of one file; rates are per record, and independent of each other."""

    flipped_bit_rate: Fraction = 0.0
    """One bit of the record is inverted."""
    lost_bytes_rate: Fraction = 0.0
    """1 to 16 bytes in a row are missing."""
    inserted_bytes_rate: Fraction = 0.0
    """1 to 16 random bytes stand in the record."""
    duplicated_rate: Fraction = 0.0
    """The record, undamaged, follows itself."""
    swapped_rate: Fraction = 0.0
    """The record and the next one stand in each other's place."""
    cut_tail: bool = False
    """The file ends inside its last record."""


class Faults(Section, frozen=True):
    """Damage to the files of every satellite; range files are damaged before they are cut to size."""

    sense: Damage = Damage()
    ranges: Damage = Damage()
