"""Where the tables of data/ are found: packed into the package when it flies or is installed, else in the checkout."""

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def data_file(name: str) -> Path:
    """The path of a table, named as below data/, such as "earth_orientation/earth_orientation.csv".

    Raises:
        FileNotFoundError: It is in neither place.
    """
    packed = _PACKAGE / "data" / name
    checkout = _PACKAGE.parent.parent / "data" / name
    for path in (packed, checkout):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{packed}: this table of the package is missing; install the package again")
