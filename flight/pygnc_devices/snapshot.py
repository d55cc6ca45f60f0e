"""Snapshots of a unit's settings as JSON text, by which they are restored."""

from typing import Self

import msgspec

from pygnc_devices.errors import DeviceError


class SnapshotError(DeviceError):
    """Error raised when a snapshot cannot be read or belongs to another unit."""


class UnitSnapshot(msgspec.Struct, frozen=True, tag_field="format"):
    """Base of the snapshots; a family's class has its settings and a tag with the version of the format."""

    def to_json(self) -> str:
        """Return the snapshot as JSON text."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the snapshot in a JSON text.

        Raises:
            SnapshotError: the text is not a snapshot of the family.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise SnapshotError(f"the text is not a snapshot of a unit's settings: {error}") from None


def require_owner(owner: tuple[object, str], unit: tuple[object, str], *, to_another_unit: bool) -> None:
    """Check that a snapshot was taken from this unit; both are given by serial number and model.

    Raises:
        SnapshotError: it was taken from another unit, and `to_another_unit` is not set.
    """
    if owner != unit and not to_another_unit:
        raise SnapshotError(
            f"the snapshot belongs to unit {owner[0]} ({owner[1]}), not to unit {unit[0]} ({unit[1]}); "
            "to_another_unit=True (--to-another-unit) restores it nevertheless"
        )
