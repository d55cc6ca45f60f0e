"""Observations and results of `pygnc identify`."""

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import typer
from rich.table import Table

from pygnc.common.clock import gps_ms_from_utc_iso, utc_iso_from_gps_ms
from pygnc.environment.frames import EarthFrames
from pygnc_ground.commands.orbit_source import OrbitSource
from pygnc_ground.orbit.catalogue import Catalogue, read_catalogue
from pygnc_ground.orbit.doppler_identification import Doppler, identify_doppler
from pygnc_ground.orbit.identification import CERTAIN, Identification, deciding_measurement
from pygnc_ground.orbit.orbit_identification import Observation, identify_orbit
from pygnc_ground.orbit.passes import Station
from pygnc_ground.tables.declaration import frame
from pygnc_ground.truth.ephemeris import NS_PER_MS
from pygnc_ground.wording import plural

_DOPPLER: Final = b"utc,frequency_hz"
_SHOWN: Final = 5
_STEP_MS: Final = 60_000
_FAULTS_SHOWN: Final = 3
_UNKNOWN_SIGMA: Final = np.repeat((1_000.0, 1.0), 3)
"""Standard deviations of a state without a covariance: m and m/s."""


def read_catalogues(paths: list[Path]) -> Catalogue:
    """Return all element sets; report damaged entries on standard error."""
    read = [read_catalogue(path) for path in paths]
    faults = [fault for one in read for fault in one.faults]
    for fault in faults[:_FAULTS_SHOWN]:
        typer.echo(f"pygnc identify: {fault}; left out", err=True)
    if len(faults) > _FAULTS_SHOWN:
        typer.echo(f"pygnc identify: {len(faults)} entries left out in all", err=True)
    return Catalogue([one for each in read for one in each.elements], faults)


def is_doppler(path: Path) -> bool:
    """Return whether a file holds the frequencies of a pass."""
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(200).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_DOPPLER)


def by_doppler(path: Path, station: Station, objects: Catalogue, none: float, frames: EarthFrames) -> Identification:
    """Return the objects that fit the frequencies in a file, with probabilities."""
    try:
        times, frequencies = [], []
        rows = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        for line, row in enumerate(rows, 2):
            try:
                times.append(gps_ms_from_utc_iso(str(row["utc"])))
                frequencies.append(float(row["frequency_hz"]))
            except (TypeError, ValueError) as error:
                raise ValueError(f"line {line}: {error}; correct or remove the line") from error
        doppler = Doppler(np.array(times, dtype=np.int64), np.array(frequencies), station)
        return identify_doppler(doppler, objects.elements, none, frames)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def by_orbit(source: OrbitSource, objects: Catalogue, none: float, frames: EarthFrames) -> Identification:
    """Return the objects that fit an orbit, with probabilities."""
    orbit = source.estimated or source.over(source.begin_ms, source.begin_ms)
    times_ns = orbit.gps_ns
    if not len(times_ns):
        begin_ms, end_ms = orbit.ephemeris.span_gps_ms
        times_ns = NS_PER_MS * np.arange(begin_ms, end_ms + 1, _STEP_MS)
        times_ns = times_ns[np.isfinite(orbit.states(times_ns)).all(axis=1)]

    @cache
    def observe(gps_ms: int) -> Observation:
        at = NS_PER_MS * np.array([gps_ms])
        covariance = orbit.covariances(at)[0] if len(orbit.gps_ns) else np.diag(_UNKNOWN_SIGMA**2)
        return Observation.from_ecef(gps_ms, orbit.states(at)[0], covariance, frames)

    return identify_orbit(observe, times_ns // NS_PER_MS, objects.elements, none)


def candidate_rows(found: Identification) -> pl.DataFrame:
    """Return the table of all candidates."""
    return frame(
        "identification",
        {
            "object": [one.name for one in found.candidates],
            "probability": [one.probability for one in found.candidates],
            "along_track_m": [one.along_m for one in found.candidates],
            "sigma_along_track_m": [one.along_sigma_m for one in found.candidates],
            "epoch_age_h": [one.age_h for one in found.candidates],
        },
    )


def candidate_table(found: Identification) -> Table:
    """Return the table of the likeliest candidates for the terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("object")
    for name in ("probability", "along track, km", "± km", "age, h"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.candidates[:_SHOWN]:
        known = () if one.elements is None else (f"{1e-3 * one.along_m:.1f}", f"{1e-3 * one.along_sigma_m:.1f}")
        age = () if one.elements is None else (f"{one.age_h:.1f}",)
        table.add_row(one.name, f"{one.probability:.4f}", *known, *age)
    return table


def verdict_lines(found: Identification) -> Iterator[str]:
    """Yield sentences: what is certain, what remains possible, and what would decide."""
    when = (
        f"Observed until {utc_iso_from_gps_ms(found.gps_ms)}; {plural(len(found.candidates) - 1, 'object')} compared."
    )
    yield f"\n{when}"
    best = found.best
    if best.probability >= CERTAIN:
        yield f"Certain: {best.name}."
        return
    if best.elements is None:
        yield "Probably none of these objects."
    elif best.probability >= 0.9:
        yield f"Probable, not certain: {best.name}."
    else:
        names = " or ".join(one.name for one in found.likely[:_SHOWN])
        more = len(found.likely) - _SHOWN
        yield f"Ambiguous: {names}{f' or {more} more' if more > 0 else ''}."
    if text := deciding_measurement(found):
        yield text
