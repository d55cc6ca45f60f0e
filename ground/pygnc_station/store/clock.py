"""Clock of a station: its last confirmation by a server or NTP, and the flags of readings that it corrects.

A confirmed time is the reference of later readings: an earlier one is dated with a wrong clock. Before the first
confirmation, the newest reading of the store is the reference; the flags are provisional then (`Quality.UNCONFIRMED`),
because that reading may be the wrong one.
"""

import time
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select, update

from pygnc_station.store import schema
from pygnc_station.store.readings import MINUTE_MS, Quality
from pygnc_station.store.store import fact, put_row

FUTURE_MS: Final = 10 * MINUTE_MS
"""A reading that is dated later than this after the present time was dated with a wrong clock."""
SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
"""File that systemd's NTP client touches whenever it has set the clock, at least once in 35 minutes."""
_CONFIRMED: Final = "clock_confirmed_ms"
_MAX_AGE_S: Final = 7200.0
_R: Final = schema.readings.c


def is_synchronised() -> bool:
    """Return True if the NTP client has set the clock within two hours, by the clock itself."""
    try:
        age_s = time.time() - SYNCHRONISED.stat().st_mtime
    except OSError:
        return False
    return abs(age_s) < _MAX_AGE_S


def confirmed_ms(connection: Connection) -> int:
    """Return the time of the last confirmation, milliseconds since 1970 (UTC); 0 if there was none."""
    return int(fact(connection, _CONFIRMED) or 0)


def confirm(connection: Connection, now_ms: int) -> bool:
    """Record that the clock is right now, and correct the flags of readings; return True if flags have changed.

    Readings dated after the present time are flagged. Provisional flags become final, or are removed if the reading is
    not older than the newest right one before.
    """
    before_ms = confirmed_ms(connection)
    put_row(connection, schema.facts, {"name": _CONFIRMED, "value": str(now_ms)})
    changed = 0
    late = _R.t_utc_ms > now_ms + FUTURE_MS
    wrong = int(Quality.CLOCK | Quality.FUTURE)
    # By stream, because the key of a reading begins with it.
    for stream_id in connection.execute(select(schema.streams.c.id)).scalars().all():
        flagged = update(schema.readings).where(_R.stream_id == stream_id, late, _R.quality.bitwise_and(wrong) != wrong)
        changed += connection.execute(flagged.values(quality=_R.quality.bitwise_or(wrong))).rowcount
    if not before_ms:
        right = (_R.quality.bitwise_and(int(Quality.CLOCK)) == 0) & (_R.t_utc_ms <= now_ms + FUTURE_MS)
        newest_ms = int(connection.execute(select(func.max(_R.t_utc_ms)).where(right)).scalar() or 0)
        provisional = _R.quality.bitwise_and(int(Quality.UNCONFIRMED)) != 0
        removed = int(Quality.UNCONFIRMED | Quality.CLOCK)
        is_right = _R.t_utc_ms.between(newest_ms, now_ms + FUTURE_MS)
        for condition, flags in ((is_right, removed), (provisional, int(Quality.UNCONFIRMED))):
            corrected = update(schema.readings).where(provisional, condition)
            changed += connection.execute(corrected.values(quality=_R.quality - flags)).rowcount
    return changed > 0
