# %% [markdown]
# # A campaign
#
# One flight shows one error. How large are errors on average, and do standard deviations agree with them on other
# orbits, too? A campaign answers with many flights. This one varies the noise of the receiver, and draws the plane of
# the orbit and the place in it for each repetition.

# %%
import matplotlib.pyplot as plt
import polars as pl

import pygnc_ground as pg

definition = {
    "title": "Noise of the receiver",
    "repetitions": 4,
    "preset": "nominal",
    "scenario": {"duration_s": 3600},
    "estimators": {"orbit": ["filter", "smoother"], "attitude": [], "bounds": ["orbit"]},
    "grid": {"scenario.gps.position_noise_m": [3.0, 10.0, 30.0]},
    "random": {
        "scenario.orbit.raan_deg": {"uniform": [0.0, 360.0]},
        "scenario.orbit.mean_anomaly_deg": {"uniform": [0.0, 360.0]},
    },
}
runs = pg.run_campaign(definition, "noise")["runs"]
print(f"{len(runs)} runs, {runs['status'].value_counts().rows()}")

# %% [markdown]
# The table `runs` has a row for each flight, with the varied settings and the figures of each estimator. Means over the
# repetitions:

# %%
noise = "scenario.gps.position_noise_m"
means = (
    runs.group_by(noise)
    .agg(
        pl.col("^orbit_(filter|smoother)_(error|sigma|bound)_m$").pow(2).mean().sqrt(),
        pl.col("^orbit_.*_nees$").mean(),
    )
    .sort(noise)
)
means.select(noise, "^orbit_.*_error_m$", "^orbit_.*_bound_m$", "orbit_filter_nees", "orbit_smoother_nees")

# %% [markdown]
# A NEES of 1 says that covariances and errors agree. With four repetitions it still scatters. Each estimator is near
# its bound:

# %%
figure, axes = plt.subplots(figsize=(8, 3.5))
for name, colour in (("filter", "C0"), ("smoother", "C1")):
    axes.plot(runs[noise], runs[f"orbit_{name}_error_m"], ".", color=colour, label=f"{name}, each run")
    axes.plot(means[noise], means[f"orbit_{name}_bound_m"], "--", color=colour, label=f"{name}, bound")
axes.set_xlabel("noise of a position [m]")
axes.set_ylabel("position error [m]")
axes.legend(ncols=2)
axes.set_title("Errors of the orbit in each run")
plt.show()

# %% [markdown]
# The same call again computes nothing: the folder `noise` has all runs. Larger campaigns use all cores
# (`workers=4`), or a cluster by the command `pygnc campaign`, whose `report` writes distributions, sensitivities and
# the worst runs as HTML.

# %%
again = pg.run_campaign(definition, "noise")["runs"]
worst = again.sort("orbit_filter_error_m")[-1]
print(f"worst run: number {worst['run'][0]}, error {worst['orbit_filter_error_m'][0]:.1f} m")
