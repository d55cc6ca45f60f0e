"""Effect of a single wrong fix on a batch, and the report on a recording without fixes."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import OrbitEstimate, OrbitMessage
from pygnc.formats import status
from pygnc_ground.truth.load import load_truth
from scripts.bench.flight.rows import Row
from scripts.bench.flight.runs import DEMO, HOUR_RECORDS, LAYOUT, flight, hours


def outlier(_: int) -> Iterator[Row]:
    """Compare the errors of a batch with one fix wrong by 10 km with those of the batch without that fix."""
    worst = max(extra_error_m(k) for k in (0, 2, HOUR_RECORDS // 2, HOUR_RECORDS - 1))
    yield Row("one fix 10 km off, most it adds to any error", f"{worst:.2f} m", "1 m", worst < 1.0)


def extra_error_m(k: int) -> float:
    """Return the largest increase of an error by an outlier in fix `k`, compared with a batch without that fix."""
    spoilt, without = (np.frombuffer(hours(1), LAYOUT.record).copy() for _ in range(2))
    spoilt["gps"]["position_ecef_m"][k, k % 3] += 10_000.0
    without["gps"]["position_status"][k] = 1
    errors, errors_without = errors_m(spoilt.tobytes()), errors_m(without.tobytes())
    return max(errors[t] - errors_without[t] for t in errors.keys() & errors_without.keys())


def errors_m(records: bytes) -> dict[int, float]:
    """Return the distance of each estimated position from the truth, by time."""
    found = estimates(records)
    true = load_truth(DEMO.with_name("truth.parquet")).at(np.array(list(found))).position_ecef_m
    errors = np.linalg.norm(np.array(list(found.values())) - true, axis=1)
    return {gps_ms: error for gps_ms, error in zip(found, errors.tolist(), strict=True) if np.isfinite(error)}


def estimates(records: bytes) -> dict[int, tuple[float, float, float]]:
    """Return the estimated positions of a batch by time."""
    with flight("--exit-when-done", records=records) as run:
        run.process.wait(60)
        (folder,) = (run.home / "pygnc_logs").iterdir()
        decode = msgspec.msgpack.Decoder(OrbitMessage).decode
        messages = [decode(record.payload) for record in JournalReader([folder], "orbit").read(10**6)]
    return {message.gps_ms: message.position_ecef_m for message in messages if isinstance(message, OrbitEstimate)}


def no_fix(_: int) -> Iterator[Row]:
    """Process the recording without usable fixes, if it is available."""
    folder = os.environ.get("PYGNC_REFERENCE_DATA")
    if folder is None:
        yield Row(
            "recorded_sense.bin (no usable fix)", "not run: PYGNC_REFERENCE_DATA is not set", "runs, says why", None
        )
        return
    records = (Path(folder) / "pygnc" / "recorded_sense.bin").read_bytes()
    with flight("--exit-when-done", records=records) as run:
        code = run.process.wait(60)
        final = run.status() or {}
    causes = ", ".join(f"{int(final[f'rejected_{c}'])} {c}" for c in status.REJECT_CAUSES if final.get(f"rejected_{c}"))
    yield Row(
        "recorded_sense.bin (no usable fix)",
        f"exit code {code}; {causes}",
        "runs, says why",
        code == 0 and bool(causes),
    )
