"""Print the tables of docs/benchmarks from the results of campaigns.

Usage: python -m scripts.generate.campaign_tables DIR...

Each DIR is a folder of `pygnc campaign`. Figures are RMS over the runs of a case, and means of NEES and NIS. For
formations, whose errors differ by factors of a hundred, they are medians over the runs.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pygnc_ground.campaign.statistics import Estimator, Group, accuracy, estimators_of, groups
from pygnc_ground.campaign.store import load_campaign, load_tables
from pygnc_ground.campaign.time_bins import rms_of
from pygnc_ground.orbit.consistency import mean_of
from scripts.bench.table import print_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of the campaigns in the folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="Folder of a campaign.")
    for folder in parser.parse_args(arguments).folders:
        campaign, tables = load_campaign(folder), load_tables(folder)
        of, estimators = groups(campaign, tables["runs"]), estimators_of(tables["runs"])
        runs = sum(group.rows.height for group in of)
        print(f"\n{campaign.title}: {runs} runs, {sum(group.failed for group in of)} failed.\n")
        for kind, table in (("orbit", orbit_rows), ("attitude", attitude_rows), ("formation", formation_rows)):
            if any(each.kind == kind for each in estimators):
                header, *rows = table(of, [each for each in estimators if each.kind == kind])
                print_table(header, rows)
                print()
        for more in (outage_rows, manoeuvre_rows):
            header, *rows = more(of)
            if rows:
                print_table(header, rows)
                print()
    return 0


def orbit_rows(of: Sequence[Group], estimators: Sequence[Estimator]) -> Iterator[list[str]]:
    """Yield the header and a row per group: error, sigma and, if known, bound; NEES, NIS."""
    yield ["RMS error, formal sigma (bound); NEES, NIS", *(each.name for each in estimators)]
    for group in of:
        cells = []
        for each in estimators:
            figures = accuracy(group, each)
            bound = f" ({figures.bound:.2f} m)" if np.isfinite(figures.bound) else ""
            cells.append(f"{figures.error:.2f} m, {figures.sigma:.2f} m{bound}; {figures.nees:.2f}, {figures.nis:.2f}")
        yield [group.name, *cells]


def outage_rows(of: Sequence[Group]) -> Iterator[list[str]]:
    """Yield the header and a row per group with long times without fixes."""
    yield ["without fixes, error at the end", "filter: RMS, largest", "sigma", "smoother", "sigma", "batch", "sigma"]
    for group in of:
        errors, sigmas = (
            [group.values(f"orbit_{name}_{what}_m") for name in ("filter", "smoother", "batch")]
            for what in ("outage", "outage_sigma")
        )
        if np.isfinite(errors[0]).any():
            cells = [f"{rms_of(errors[0]):.1f} m, {np.nanmax(errors[0]):.1f} m", f"{rms_of(sigmas[0]):.1f} m"]
            for error, sigma in zip(errors[1:], sigmas[1:], strict=True):
                known = np.isfinite(error).any()
                cells += [f"{rms_of(error):.2f} m", f"{rms_of(sigma):.2f} m"] if known else ["-", "-"]
            yield [group.name, *cells]


def manoeuvre_rows(of: Sequence[Group]) -> Iterator[list[str]]:
    """Yield the header and a row per group with reported manoeuvres."""
    yield [
        "manoeuvre",
        "detected",
        "filter: largest error, time outside 5 sigma",
        "error of delta-v: smoother",
        "batch",
    ]
    for group in of:
        detected = group.values("orbit_manoeuvres") > 0.0
        if detected.any():
            cells = []
            for name in ("smoother", "batch"):
                errors, sigmas = (group.values(f"orbit_{name}_delta_v_{unit}") for unit in ("mps", "sigmas"))
                within, known = int((sigmas <= 3.0).sum()), int(np.isfinite(sigmas).sum())
                error = f"{1e3 * rms_of(errors):.1f} mm/s RMS, {within} of {known} within 3 sigma"
                cells.append(error if known else "-")
            peak, outside = (group.values(f"orbit_filter_{name}").max() for name in ("peak_m", "outside_s"))
            yield [group.name, f"{detected.sum()} of {len(detected)}", f"{peak:.1f} m, {outside:.0f} s", *cells]


def attitude_rows(of: Sequence[Group], estimators: Sequence[Estimator]) -> Iterator[list[str]]:
    """Yield the header and a row per group: errors and sigmas by light, consistency, convergence, faults."""
    yield [
        "deg",
        *(f"{each.name} in sun (sigma), in shadow (sigma)" for each in estimators),
        "NEES",
        "after an orbit",
        "NIS",
        "unknown",
        "5 deg after: median, all",
        "wrong by > 20 deg: admitted, not admitted",
        "magnetometer bias, uT",
        "flagged",
    ]
    for group in of:
        errors = []
        for each in estimators:
            of_light = [
                [rms_of(group.values(f"attitude_{each.name}_{place}{what}_deg")) for what in ("", "_sigma")]
                for place in ("sun", "shadow")
            ]
            errors.append(", ".join(f"{error:.2f} ({sigma:.2f})" for error, sigma in of_light))
        found_s = group.values("attitude_found_s")
        flagged = (group.values("attitude_faces_flagged") + group.values("attitude_axes_flagged")) > 0.0
        yield [
            group.name,
            *errors,
            *(f"{mean_of(group.values(f'attitude_filter_{name}')):.2f}" for name in ("nees", "nees_orbit")),
            f"{mean_of(group.values('attitude_nis')):.2f}",
            f"{100.0 * mean_of(group.values('attitude_unknown')):.1f} %",
            f"{np.median(found_s):.0f}, {found_s.max():.0f} s",
            ", ".join(f"{group.values(f'attitude_{name}_s').max():.0f}" for name in ("admitted", "silent")) + " s",
            f"{rms_of(group.values('attitude_mag_bias_ut')):.3f}",
            f"{flagged.sum()} of {len(flagged)}",
        ]


def formation_rows(of: Sequence[Group], estimators: Sequence[Estimator]) -> Iterator[list[str]]:
    """Yield the header and a row per group: errors, sigmas and bounds, consistency, and what is reported."""
    yield [
        "relative position",
        "error, m: median",
        "sigma",
        "bound",
        "error / bound: RMS, median",
        "NEES: mean, median",
        "NIS",
        "partners",
        "ambiguous, unsolved",
        "first hypothesis wrong",
        "truth missing",
        "wrong and certain",
    ]
    for group in of:
        for each in estimators:
            error, sigma, bound, nees, nis = (
                group.values(each.column(name)) for name in ("error", "sigma", "bound", "nees", "nis")
            )
            counted = {
                name: f"{np.nansum(group.values(each.column(name))):.0f}"
                if each.column(name) in group.rows.columns
                else "-"
                for name in ("partners", "ambiguous", "unsolved", "wrong", "missing", "silent")
            }
            yield [
                group.name if len(estimators) == 1 else f"{group.name}, {each.name}",
                *(
                    f"{np.nanmedian(values):.3g}" if np.isfinite(values).any() else "-"
                    for values in (error, sigma, bound)
                ),
                f"{rms_of(error / bound):.2f}, {np.nanmedian(error / bound):.2f}" if np.isfinite(bound).any() else "-",
                f"{mean_of(nees):.2f}, {np.nanmedian(nees):.2f}" if np.isfinite(nees).any() else "-",
                f"{mean_of(nis):.2f}" if np.isfinite(nis).any() else "-",
                counted["partners"],
                f"{counted['ambiguous']}, {counted['unsolved']}",
                *(counted[name] for name in ("wrong", "missing", "silent")),
            ]


if __name__ == "__main__":
    sys.exit(main())
