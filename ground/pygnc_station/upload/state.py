"""State of this station, as it is sent to the server with each upload."""

import shutil
import time
from pathlib import Path

import pygnc_system
from pygnc_station.settings import StationSettings
from pygnc_station.station_state import StationState
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.cursors import BATCHES, pending
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store


def station_state(store: Store, settings: StationSettings) -> StationState:
    """Return the state of this station now.

    Raises:
        StoreError: the store cannot be read.
        OSError: the disk of the store cannot be queried.
    """
    with store.reads() as connection:
        new = sum(part.last - part.first + 1 for part in pending(connection, BATCHES))
    waiting = batches(store, BatchState.OPEN, BatchState.READY, BatchState.SENT)
    batched = sum(part.last - part.first + 1 for batch in waiting for part in batch.contents.readings)
    is_file = "://" not in settings.store_url
    disk = shutil.disk_usage(Path(settings.store_url).parent if is_file else settings.path(settings.batches.pending))
    places = {device.gadget: device.location or settings.location for device in settings.device}
    return StationState(
        time_ms=clock_ms(),
        version=pygnc_system.__version__,
        uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        backlog_readings=new + batched,
        backlog_batches=len(waiting),
        rejected_batches=len(batches(store, BatchState.REJECTED)),
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
        locations={name: place for name, place in places.items() if place is not None},
    )
