# %% [markdown]
# # First orbit
#
# A simulated satellite records GPS fixes for an hour and a half. The estimators of the flight software determine its
# orbit from them, and the known truth shows how well.

# %%
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

import pygnc_ground as pg

scenario = pg.make_scenario("nominal", duration_s=5400, seed=3)
files = scenario.write("flight")

# %% [markdown]
# `sense.bin` is what the satellite's controller would upload, and `truth.parquet` is the true orbit and attitude. The
# replay runs filter, smoother and batch solution on the recorded file.

# %%
replay = pg.replay_files("flight/sense.bin", truth="flight/truth.parquet")
for orbit in replay.orbits:
    accuracy = orbit.accuracy
    print(f"{orbit.name:8} error {accuracy.position_error_m:5.2f} m, its sigma {accuracy.position_sigma_m:5.2f} m")

# %% [markdown]
# Errors are 3-D RMS values after the first third of the time. The tables are those that `pygnc replay` writes; these
# are some of the columns:

# %%
pl.Config.set_float_precision(2)
replay.tables["orbit"].select("utc", "^[xyz]_ecef_m$", "^sigma_[xyz]_ecef_m$", "nis").head(3)

# %% [markdown]
# NumPy arrays hold the same numbers with their covariances. The standard deviations shrink while fixes arrive, and the
# errors of the filter stay within three of them:

# %%
errors = replay.orbits[0].errors
minutes = (errors.gps_ms - errors.gps_ms[0]) / 60_000
figure, axes = plt.subplots(3, sharex=True, figsize=(8, 5))
for axis, (name, panel) in enumerate(zip(("radial", "transverse", "normal"), axes, strict=True)):
    sigma = errors.position_sigma_rtn_m[:, axis]
    panel.fill_between(minutes, -3 * sigma, 3 * sigma, alpha=0.2, label="3 sigma")
    panel.plot(minutes, errors.position_rtn_m[:, axis], label="error")
    panel.set_ylim(-30, 30)
    panel.set_ylabel(f"{name} [m]")
axes[0].legend(loc="upper right", ncols=2)
axes[-1].set_xlabel("time [min]")
figure.suptitle("Position error of the orbit filter")
plt.show()

# %% [markdown]
# No estimator can be better than the Cramér-Rao bound. The smoother uses all fixes, before and after:

# %%
bounds = pg.bound_recording("flight/sense.bin", pg.load_truth("flight/truth.parquet"))
settled = slice(len(bounds.gps_ms) // 3, None)
bound_m = np.sqrt(np.mean(bounds.posterior_smoother.position_m[settled] ** 2))
print(f"bound of all smoothers: {bound_m:.2f} m, our smoother: {replay.orbits[1].accuracy.position_error_m:.2f} m")

# %% [markdown]
# `replay.write("replayed")` writes all tables and a report in HTML, as `pygnc replay` does.
