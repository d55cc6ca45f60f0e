# %% [markdown]
# # A magnetometer calibrated
#
# A magnetometer in a satellite has a bias, scale errors and misaligned axes. A tumbling satellite determines them from
# the strength of the geomagnetic field along its orbit, which needs no attitude.

# %%
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

import pygnc_ground as pg

errors = {"mag_bias_ut": [20.0, 10.0, -25.0], "mag_scale_error": [0.02, -0.01, 0.015]}
scenario = pg.make_scenario("tumbling", {"imu": errors}, duration_s=5400, seed=2)
files = scenario.write("flight")

# %% [markdown]
# The readings scatter around a sphere whose centre is the bias:

# %%
result = pg.calibrate_magnetometer("flight/sense.bin", truth="flight/truth.parquet")
found = result.calibration
pl.DataFrame(
    {
        "axis": list("xyz"),
        "bias [uT]": found.bias_ut.round(3),
        "sigma [uT]": found.bias_sigma_ut.round(3),
        "true bias [uT]": result.true_bias_ut.round(3),
        "scale": found.matrix.diagonal().round(4),
    }
)

# %% [markdown]
# The matrix corrects a reading, so a sensor that reads 2 % too high has a scale of 0.98 here. Before the calibration
# the strength of the field is wrong by the bias, and afterwards by the noise:

# %%
readings = result.readings
model_ut = np.linalg.norm(readings.field_gcrf_ut, axis=1)
minutes = (readings.gps_ms - readings.gps_ms[0]) / 60_000
figure, axes = plt.subplots(figsize=(8, 3.5))
for name, field_ut in (("measured", readings.mag_imu_ut), ("calibrated", found.corrected_ut(readings.mag_imu_ut))):
    axes.plot(minutes, np.linalg.norm(field_ut, axis=1) - model_ut, ".", markersize=2, label=name)
axes.set_xlabel("time [min]")
axes.set_ylabel("strength minus model [uT]")
axes.legend()
axes.set_title(f"RMS {found.rms_before_ut:.1f} uT before, {found.rms_after_ut:.2f} uT after the calibration")
plt.show()

# %% [markdown]
# `write` makes three files, of which `calibration.toml` works as `pygnc.toml` on the satellite:

# %%
paths = result.write("calibration")
print(paths[0].read_text())
