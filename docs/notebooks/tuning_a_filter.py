# %% [markdown]
# # Tuning a filter
#
# A receiver reports standard deviations that are five times too small. How large should the floor be that the settings
# put under them? Consistency answers: errors, innovations and their covariances have to agree.

# %%
import matplotlib.pyplot as plt
import polars as pl

import pygnc_ground as pg

scenario = pg.make_scenario("nominal", {"gps": {"reported_sigma_factor": 0.2}}, duration_s=5400, seed=3)
files = scenario.write("flight")
gps = scenario.settings.gps
print(f"true noise {gps.position_noise_m} m and {gps.velocity_noise_mps} m/s, reported a fifth of it")

# %% [markdown]
# Each candidate is a mapping with the structure of `pygnc.toml`:

# %%
floors = {"default": {}, "true noise": (10.0, 0.01), "four times": (40.0, 0.04)}
replays = {}
for name, floor in floors.items():
    measurement = dict(zip(("position_sigma_floor_m", "velocity_sigma_floor_mps"), floor, strict=False))
    settings = {"orbit": {"measurement": measurement}}
    replays[name] = pg.replay_files("flight/sense.bin", truth="flight/truth.parquet", settings=settings)

# %% [markdown]
# The normalised error squared (NEES) compares errors with covariances, and the normalised innovation squared (NIS)
# innovations. Per degree of freedom both are 1 if the covariances are right, and smaller if they are too large:

# %%
rows = []
for name, replay in replays.items():
    for orbit in replay.orbits:
        accuracy = orbit.accuracy
        rows.append(
            {
                "floor": name,
                "estimator": orbit.name,
                "error [m]": round(accuracy.position_error_m, 2),
                "sigma [m]": round(accuracy.position_sigma_m, 2),
                "NEES": round(accuracy.nees_mean_per_dof, 2),
                "NIS": round(orbit.nis.mean_per_dof, 2),
            }
        )
pl.DataFrame(rows)

# %% [markdown]
# With the default, the filter widens the reported noise by itself, so its NIS is near 1. The residuals of the
# smoother are compared with the receiver's own standard deviations: a NIS of about 25 is the square of the factor five,
# and tells that the receiver is too optimistic. A floor of the true noise makes all of them agree. With four times the
# true noise, errors are twice as large, and standard deviations are far too large.

# %%
figure, axes = plt.subplots(figsize=(8, 3.5))
for name, replay in replays.items():
    solution = replay.result.solution
    minutes = (solution.gps_ms - solution.gps_ms[0]) / 60_000
    axes.semilogy(minutes, solution.sigma_ecef[:, 0], label=name)
axes.set_xlabel("time [min]")
axes.set_ylabel("sigma of x [m]")
axes.legend(title="floor")
axes.set_title("Standard deviation of the filter by the floor of the receiver's noise")
plt.show()

# %% [markdown]
# The chosen floor belongs in `[orbit.measurement]` of the satellite's `pygnc.toml`. A campaign then confirms it for
# many seeds.
