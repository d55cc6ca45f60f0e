"""Check of the last backup of a station or server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pygnc_station.backup.archive import last_backup
from pygnc_station.diagnosis.computer import Finding, bad, good
from pygnc_station.errors import StoreError
from pygnc_station.settings import StationSettings
from pygnc_station.store.clock import FUTURE_MS
from pygnc_station.store.readings import DAY_MS, HOUR_MS, iso_time
from pygnc_station.store.store import Store

_MAX_AGE_MS: Final = 2 * DAY_MS + HOUR_MS
"""A daily backup is delayed by up to half an hour."""
_HOW: Final = "`pygnc station backup FOLDER` writes one, and url in [backup] daily ones"


def examine_backup(settings: StationSettings, now_ms: int) -> Iterator[Finding]:
    """Yield the age of the last backup; a server needs one, and daily ones must not be older than two days."""
    try:
        with Store.open(settings.store_url) as store:
            last = last_backup(store)
    except StoreError:  # another check reports it
        return
    if last is None:
        yield Finding(not (settings.is_server or settings.backup.url), "backup", f"there is none; {_HOW}")
        return
    age_ms = now_ms - last.time_ms
    age = f"{age_ms / DAY_MS:.1f} days" if age_ms >= DAY_MS else f"{age_ms / HOUR_MS:.1f} h"
    text = f"the last one is {age} old ({iso_time(last.time_ms)}): {last.place}/{last.name}"
    if age_ms < -FUTURE_MS:
        text = f"the last one is dated {iso_time(last.time_ms)}, after the present time: {last.place}/{last.name}"
    if "://" not in last.place and not (Path(last.place) / last.name).exists():
        yield bad("backup", f"{text}, which is missing; is its disk connected?")
    elif (settings.is_server or settings.backup.url) and not -FUTURE_MS <= age_ms <= _MAX_AGE_MS:
        yield bad("backup", f"{text}; run `pygnc station backup`, and check its timer")
    else:
        yield good("backup", text)
