# %% [markdown]
# # Own sensor model in a scenario
#
# Does the attitude survive a magnetometer beside a reaction wheel? The scenario's magnetometer has no such error, but a
# sensor model of your own adds it: a function that receives the true states and the simulated readings, and returns the
# readings to write.

# %%
import matplotlib.pyplot as plt
import numpy as np

import pygnc_ground as pg


def beside_a_wheel(truth, samples):
    """Add the field of a wheel whose speed changes: 2 uT in the plane of the sensor's x and y axes."""
    seconds = (truth.gps_ms - truth.gps_ms[0]) / 1000.0
    phase = 2.0 * np.pi * (seconds / 7.3 + 1e-5 * seconds**2)
    field_ut = 2.0 * np.column_stack((np.cos(phase), np.sin(phase), np.zeros_like(phase)))
    samples.mag_imu_ut[:] += field_ut.reshape(samples.mag_imu_ut.shape)
    return samples


# %% [markdown]
# `truth` has one row per sample, `samples` five samples per record. Both flights have the same seed, so that nothing
# else differs:

# %%
replays = {}
for name, model in {"without wheel": None, "beside a wheel": beside_a_wheel}.items():
    folder = name.replace(" ", "-")
    pg.make_scenario("nominal", duration_s=5400, seed=5, sensor_model=model).write(folder)
    replays[name] = pg.replay_files(f"{folder}/sense.bin", truth=f"{folder}/truth.parquet")
    accuracy = replays[name].attitudes[0].accuracy
    print(f"{name:15} error {accuracy.overall.error_deg:.2f} deg, bound {accuracy.overall.bound_deg:.2f} deg")

# %% [markdown]
# The innovations of the magnetometer show the cause. They are larger, and the filter adapts the standard deviation that
# it expects.

# %%
figure, axes = plt.subplots(2, sharex=True, figsize=(8, 4.5), layout="constrained")
for panel, (name, replay) in zip(axes, replays.items(), strict=True):
    samples = replay.result.attitude.samples
    innovations = samples.innovations["magnetometer"]
    minutes = (samples.gps_ms - samples.gps_ms[samples.gps_ms >= 0][0]) / 60_000
    sigma_ut = innovations.sigmas[:, 0]
    panel.fill_between(minutes, -3 * sigma_ut, 3 * sigma_ut, alpha=0.2, label="3 sigma")
    panel.plot(minutes, innovations.values[:, 0], ".", markersize=2, label="innovation")
    panel.set_title(name)
    panel.set_ylabel("x [uT]")
    panel.set_ylim(-8, 8)
axes[0].legend(loc="upper right", ncols=2)
axes[-1].set_xlabel("time [min]")
figure.suptitle("Innovations of the magnetometer")
plt.show()

# %% [markdown]
# The remedy is to tell the filter: with `attitude.magnetometer.noise_ut` as large as the disturbance, it relies more on
# the other sensors, and the error decreases.

# %%
settings = {"attitude": {"magnetometer": {"noise_ut": 2.0}}}
told = pg.replay_files("beside-a-wheel/sense.bin", truth="beside-a-wheel/truth.parquet", settings=settings)
for name, replay in {"default noise": replays["beside a wheel"], "noise of 2 uT": told}.items():
    print(f"{name}: error {replay.attitudes[0].accuracy.overall.error_deg:.2f} deg")
