"""Make data/geomagnetic/igrf14.csv from the IGRF's file of spherical harmonic coefficients, IGRF14.shc.

Usage: python scripts/generate/geomagnetic.py IGRF14.shc

The file is in the package ppigrf and at https://doi.org/10.5281/zenodo.14012302. Epochs before GPS time are omitted.
"""

import sys
from pathlib import Path
from typing import Final

from pygnc.configuration.data_files import with_checksum

OUTPUT: Final = Path(__file__).resolve().parents[2] / "data" / "geomagnetic" / "igrf14.csv"
FIRST_YEAR: Final = 1980


def main(words: list[str]) -> int:
    """Convert the file named on the command line."""
    if len(words) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    lines = Path(words[0]).read_text(encoding="ascii").splitlines()
    model = lines[0].removeprefix("#").strip().replace(" ", "-")
    # After the comments: a line about the file, the epochs, and a line for each coefficient.
    _, years, *rows = [line.split() for line in lines if not line.startswith("#")]
    kept = [index for index, year in enumerate(years) if float(year) >= FIRST_YEAR]
    table = [["degree", "order", *(years[index].removesuffix(".0") for index in kept)]]
    table += [[degree, order, *(values[index] for index in kept)] for degree, order, *values in rows]
    text = "".join(f"{','.join(row)}\n" for row in table)
    content = with_checksum(f"# {model}, IAGA Working Group V-MOD, coefficients in nT\n{text}")
    OUTPUT.write_text(content, encoding="ascii")
    print(f"{OUTPUT}: {len(table) - 1} coefficients, {len(kept)} epochs")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
