"""Writer of RINEX 3 observation files.

Source: RINEX: The Receiver Independent Exchange Format, version 3.05, IGS and RTCM, 2020.
"""

from typing import Final

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, L2_WAVELENGTH_M, FloatArray, GnssMeasurements

_LABEL_AT: Final = 60
_SCALE_MS: Final = 86_400_000
_UNIX_OF_GPS_MS: Final = 315_964_800_000
_TYPES: Final = ("C1C", "L1C", "S1C", "C1W", "C2W", "L2W", "S2W")
_LARGEST: Final = 1e10
"""Values must have at most ten digits before the point."""


def write_rinex3(measurements: GnssMeasurements, comment: str = "") -> bytes:
    """Return the measurements as a RINEX 3.05 file; types of observations without a value are left out.

    Raises:
        ValueError: A value does not fit the format.
    """
    columns = _columns(measurements)
    largest = max((float(np.nanmax(np.abs(values))) for values, _ in columns.values()), default=0.0)
    if not columns or largest >= _LARGEST:
        raise ValueError(f"the largest value {largest:g} of the measurements has more than ten digits, or none has any")
    tick = np.rint(1e7 * measurements.fraction_s).astype(np.int64)
    epoch = measurements.gps_ms * 10_000 + tick
    begins = np.flatnonzero(np.diff(epoch, prepend=epoch[:1] - 1)).tolist()
    fields = [_field_texts(*column) for column in columns.values()]
    lines = _header(measurements, tuple(columns), int(epoch[0]), comment)
    for begin, end in zip(begins, [*begins[1:], len(epoch)], strict=True):
        lines.append(f"> {_moment(int(epoch[begin]), 11)}  0{end - begin:3d}")
        for row in range(begin, end):
            lines.append((str(measurements.satellite[row]) + "".join(texts[row] for texts in fields)).rstrip())
    return ("\n".join(lines) + "\n").encode("ascii")


def _columns(measurements: GnssMeasurements) -> dict[str, tuple[FloatArray, list[str]]]:
    """Return the values of each type, and the indicators behind them."""
    blank = [" "] * len(measurements)
    locks = [
        [str(value) if value else " " for value in flags.tolist()]
        for flags in (measurements.loss_of_lock_l1, measurements.loss_of_lock_l2)
    ]
    every = (
        (measurements.code_l1_m, blank),
        (measurements.phase_l1_m / L1_WAVELENGTH_M, locks[0]),
        (measurements.signal_to_noise_l1_db_hz, blank),
        (measurements.code_p1_m, blank),
        (measurements.code_p2_m, blank),
        (measurements.phase_l2_m / L2_WAVELENGTH_M, locks[1]),
        (measurements.signal_to_noise_l2_db_hz, blank),
    )
    return {kind: column for kind, column in zip(_TYPES, every, strict=True) if np.isfinite(column[0]).any()}


def _field_texts(values: FloatArray, locks: list[str]) -> list[str]:
    known = np.isfinite(values).tolist()
    return [
        f"{value:14.3f}{lock} " if is_known else " " * 16
        for value, lock, is_known in zip(values.tolist(), locks, known, strict=True)
    ]


def _moment(epoch: int, width: int) -> str:
    """Return the time of an epoch of 0.1 us in the calendar of GPS time."""
    days, of_day = divmod(epoch // 10_000 + _UNIX_OF_GPS_MS, _SCALE_MS)
    year, month, day = (int(part) for part in str(np.datetime64(days, "D")).split("-"))
    minutes, rest_ms = divmod(of_day, 60_000)
    seconds = f"{rest_ms // 1000:{width - 8}d}.{rest_ms % 1000:03d}{epoch % 10_000:04d}"
    return f"{year:4d} {month:02d} {day:02d} {minutes // 60:02d} {minutes % 60:02d}{seconds}"


def _stamp(epoch: int) -> str:
    """Return the UTC of the first epoch as the date of the file, so that a file depends on its content only."""
    return utc_iso_from_gps_ms(epoch // 10_000)[:19].replace("-", "").replace("T", " ").replace(":", "")


def _header(measurements: GnssMeasurements, kinds: tuple[str, ...], epoch: int, comment: str) -> list[str]:
    facts = measurements.facts
    position = facts.approximate_position_ecef_m or (0.0, 0.0, 0.0)
    offset = facts.antenna_offset_m or (0.0, 0.0, 0.0)
    year, month, day, hour, minute, second = _moment(epoch, 13).replace("-", " ").split()
    lines = [
        (f"{3.05:9.2f}{'':11}{'OBSERVATION DATA':20}G: GPS", "RINEX VERSION / TYPE"),
        (f"{'PyGNC':40}{_stamp(epoch)} UTC", "PGM / RUN BY / DATE"),
        *((part, "COMMENT") for part in (comment[at : at + 60] for at in range(0, len(comment), 60))),
        (facts.marker[:60], "MARKER NAME"),
        ("SPACEBORNE", "MARKER TYPE"),
        ("", "OBSERVER / AGENCY"),
        (f"{'':20}{facts.receiver[:20]:20}", "REC # / TYPE / VERS"),
        (f"{'':20}{facts.antenna[:20]:20}", "ANT # / TYPE"),
        ("".join(f"{part:14.4f}" for part in position), "APPROX POSITION XYZ"),
        ("".join(f"{part:14.4f}" for part in offset), "ANTENNA: DELTA X/Y/Z"),
        (f"G  {len(kinds):3d}" + "".join(f" {kind}" for kind in kinds), "SYS / # / OBS TYPES"),
        *([(f"{facts.interval_s:10.3f}", "INTERVAL")] if facts.interval_s is not None else []),
        (f"{int(year):6d}{int(month):6d}{int(day):6d}{int(hour):6d}{int(minute):6d}{float(second):13.7f}     GPS",
         "TIME OF FIRST OBS"),
        ("", "END OF HEADER"),
    ]  # fmt: skip
    return [f"{text:{_LABEL_AT}}{label:20}".rstrip() for text, label in lines]
