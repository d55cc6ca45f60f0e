"""Make data/earth_orientation/earth_orientation.csv from an issue of the IERS's finals2000A.all.

Usage: python scripts/generate/earth_orientation.py finals2000A.all ISSUE

ISSUE is the date of the issue, such as 2026-11-02. The file is at https://maia.usno.navy.mil/ser7/finals2000A.all and
in the package astropy-iers-data. Every fifth day is kept. With linear interpolation, polar motion is accurate to
0.4 mas (1 cm) and UT1 to 0.3 ms (15 cm in space; orbits from Earth-fixed fixes do not depend on it), RMS from 2017 to
2026.
"""

import sys
from pathlib import Path
from typing import Final

from pygnc.configuration.data_files import with_checksum

OUTPUT: Final = Path(__file__).resolve().parents[2] / "data" / "earth_orientation" / "earth_orientation.csv"
FIRST_MJD: Final = 57_204
"""2015-07-01."""
STEP_DAYS: Final = 5
COLUMNS: Final = "mjd_utc,ut1_minus_utc_s,x_pole_arcsec,y_pole_arcsec,dx_mas,dy_mas"


def main(words: list[str]) -> int:
    """Convert the file named on the command line."""
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    rows = [row for line in Path(words[0]).read_text(encoding="ascii").splitlines() if (row := converted(line))]
    OUTPUT.write_text(with_checksum(f"# IERS finals2000A {words[1]}\n{COLUMNS}\n" + "".join(rows)), encoding="ascii")
    print(f"{OUTPUT}: {len(rows)} rows")
    return 0


def converted(line: str) -> str | None:
    """Return the CSV row of a line of Bulletin A; None for skipped days and days without a prediction."""
    mjd, x_pole, y_pole, ut1 = line[7:15], line[18:27], line[37:46], line[58:68]
    day = round(float(mjd))
    if day < FIRST_MJD or (day - FIRST_MJD) % STEP_DAYS or not ut1.strip():
        return None
    dx_mas, dy_mas = (float(field) if field.strip() else 0.0 for field in (line[97:106], line[116:125]))
    return f"{day},{float(ut1):.6f},{float(x_pole):.5f},{float(y_pole):.5f},{dx_mas:.2f},{dy_mas:.2f}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
