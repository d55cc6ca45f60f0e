"""Orbit from the raw measurements that a receiver sends, for `pygnc follow`."""

import json
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.configuration.load import load
from pygnc.configuration.settings import Settings
from pygnc.environment.frames import EarthFrames
from pygnc_devices.engine import RECONNECT_DELAYS_S
from pygnc_devices.errors import EndOfRecordingError, PortError, PortGoneError
from pygnc_devices.framing import Frame, ReceiveBuffer
from pygnc_devices.port import Port
from pygnc_devices.ports import open_port
from pygnc_ground.orbit.raw.determination import Receiver
from pygnc_ground.orbit.raw.live import LiveFilter, LiveState
from pygnc_ground.receivers import log
from pygnc_ground.receivers.raw import RawStream
from pygnc_system.backoff import Backoff
from pygnc_system.files import data_file

_LONGEST_FRAME: Final = 1 << 15
_READ_S: Final = 1.0
_SILENCE_S: Final = 60.0
Note = Callable[[str], None]


def states(url: str, baud: int, receiver: Receiver, config: Path | None, note: Note) -> Generator[str]:
    """Yield the state of each epoch as JSON; `note` prints what is missing.

    Raises:
        DeviceError: The port cannot be opened.
        ValueError: The settings cannot be used, or a recording gives no orbit; the message names what is missing.
    """
    settings = Settings() if config is None else load(config, config.parent)
    frames = EarthFrames(read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)))
    stream, epochs, unusable, told_s, found = RawStream(), 0, 0, time.monotonic(), False
    live = LiveFilter(stream.broadcast, None, receiver, settings.orbit, frames)
    for frame in _frames(url, baud, note):
        try:
            seen = None if frame is None else stream.add(frame)
        except ValueError:
            seen, unusable = None, unusable + 1
        if seen is not None:
            epochs += 1
            live.orbits = stream.broadcast
            if (state := live.process(seen)) is not None:
                found, told_s = True, time.monotonic()
                yield _line(state, frames)
        if time.monotonic() > told_s + _SILENCE_S:
            told_s = time.monotonic()
            note(f"{url}: no state for a minute; {_received(stream, epochs, unusable)}")
    if not found:
        raise ValueError(f"{url}: no orbit; {_received(stream, epochs, unusable)}")


def _received(stream: RawStream, epochs: int, unusable: int) -> str:
    return (
        f"{epochs} epochs of raw measurements, ephemerides of {len(stream.broadcast.satellites)} satellites and"
        f" {unusable} messages with impossible content received (4 minutes and 5 satellites are needed)"
    )


def _line(state: LiveState, frames: EarthFrames) -> str:
    """Return a state with its covariance as JSON."""
    turned = frames.ecef_states_from_gcrf(np.array([state.gps_ms]))[0] @ state.state[:6]
    return json.dumps({
        "utc": utc_iso_from_gps_ms(state.gps_ms),
        "gps_ms": state.gps_ms,
        "satellites": state.satellites,
        "position_itrf_m": turned[:3].round(3).tolist(),
        "velocity_itrf_mps": turned[3:].round(6).tolist(),
        "position_gcrf_m": state.state[:3].round(3).tolist(),
        "velocity_gcrf_mps": state.state[3:6].round(6).tolist(),
        "covariance_gcrf": state.covariance[:6, :6].tolist(),
    })  # fmt: skip


def _frames(url: str, baud: int, note: Note) -> Iterator[Frame | None]:
    """Yield the frames that arrive, None after a second without; a port that is lost is opened again.

    Raises:
        PortError: The port cannot be opened at the beginning.
    """
    port: Port | None = open_port(url, baud)
    buffer, backoff = ReceiveBuffer(log.scan, _LONGEST_FRAME, url), Backoff(RECONNECT_DELAYS_S)
    try:
        while True:
            try:
                if port is None:
                    time.sleep(backoff.next())
                    port = open_port(url, baud)
                piece = port.read(_READ_S)
            except EndOfRecordingError:
                yield from buffer.scan_to_end().frames
                return
            except PortGoneError as error:
                note(f"{error}; it is opened again when it is there")
                buffer.clear()
                if port is not None:
                    port.close()
                port = None
                continue
            except PortError:
                continue
            backoff.reset()
            yield from buffer.scan(piece, baud, time.monotonic()).frames
            if not piece:
                yield None
    finally:
        if port is not None:
            port.close()
