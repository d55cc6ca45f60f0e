"""Measure the processing time of one sensor sample by the attitude filter, for docs/benchmarks.

Usage: python scripts/bench/bench_attitude.py [--flights N]

Accuracy is measured by the campaigns data/campaigns/attitude*.toml.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.configuration.settings import Settings
from pygnc.estimators.attitude.filter import AttitudeFilter
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample, SampleCorrection
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.navigation.attitude import SampleOutcome
from pygnc_ground.campaign.definition import plan_run, read_campaign
from pygnc_ground.campaign.flight import fly
from pygnc_ground.campaign.run import simulated
from scripts.bench.table import print_table

CAMPAIGN: Final = Path(__file__).resolve().parents[2] / "data" / "campaigns" / "attitude.toml"


def main() -> int:
    """Print the processing time of one sample: minimum of several runs, so that other load does not count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--flights", type=int, metavar="N", default=20, help="Number of repetitions (default: 20).")
    options = parser.parse_args()
    flown = fly(simulated(plan_run(read_campaign(CAMPAIGN), 0)).inputs(Settings()))
    inputs = [_filter_input(record.outcome) for record in flown.samples if record.outcome.update is not None]
    runs = np.array([_timed(inputs) for _ in range(options.flights)])
    known, least_ms = runs[0, :, 0] > 0.0, runs[:, :, 1].min(axis=0)
    times_ms = {"searching": least_ms[~known], "tracking": least_ms[known]}
    rows = [(name, f"{np.median(taken):.2f} ms", f"{taken.max():.2f} ms") for name, taken in times_ms.items()]
    print_table(("one sample", "median", "worst"), rows)
    return 0


def _filter_input(outcome: SampleOutcome) -> tuple[AttitudeSample, AttitudeEnvironment | None]:
    sample = outcome.sample
    measured = SampleCorrection(AttitudeSettings()).sample(
        sample.seq, outcome.gps_ms or 0, sample.mag_imu_ut, sample.gyro_imu_rad_s, sample.lux
    )
    return measured, outcome.environment


def _timed(inputs: Sequence[tuple[AttitudeSample, AttitudeEnvironment | None]]) -> list[tuple[bool, float]]:
    """Return for each sample whether the attitude was known before it, and its time in ms."""
    attitude = AttitudeFilter(AttitudeSettings())
    times = []
    for sample, environment in inputs:
        known = attitude.state is not None
        begin = time.perf_counter()
        attitude.process(sample, environment)
        times.append((known, 1e3 * (time.perf_counter() - begin)))
    return times


if __name__ == "__main__":
    sys.exit(main())
