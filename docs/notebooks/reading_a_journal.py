# %% [markdown]
# # Reading a journal
#
# Everything that a flight receives and estimates is in the journals of its run, one record per message. First, a short
# flight makes some:

# %%
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl

import pygnc_ground as pg

files = pg.make_scenario("nominal", duration_s=1800, seed=6).write("home")
flight = [sys.executable, "-m", "pygnc", "10", "100000", "--exit-when-done"]
environment = os.environ | {"HOME": str(Path("home").absolute())}
done = subprocess.run(flight, env=environment, check=True, capture_output=True)
(run,) = Path("home/pygnc_logs").iterdir()
print(*sorted(path.name for path in run.iterdir()))

# %% [markdown]
# Each journal becomes a table per kind of message. The inputs:

# %%
inputs = pg.journal_tables(run, "input")
for kind, table in inputs.items():
    print(f"{kind:15} {len(table):4} messages with {len(table.columns)} fields")

# %%
inputs["GnssFix"].select("seq", "t_spacecraft_s", "gps_ms", "position_sigma_m", "satellites_used").head(3)

# %% [markdown]
# Every estimate names the input that it follows from by its number, so estimates and inputs can be joined:

# %%
orbit = pg.journal_tables(run, "orbit")["OrbitEstimate"]
joined = orbit.join(inputs["GnssFix"], left_on="input_seq", right_on="seq", suffix="_fix")
names = ("position_ecef_m", "position_ecef_m_fix")
estimated, measured = (joined[name].list.to_array(3).to_numpy() for name in names)
figure, axes = plt.subplots(figsize=(8, 3.5))
axes.plot(joined["nis"], label="NIS")
axes.plot(np.linalg.norm(measured - estimated, axis=1), label="fix minus estimate [m]")
axes.set_xlabel("fix")
axes.legend()
axes.set_title("Fixes against the estimates that they lead to")
plt.show()

# %% [markdown]
# The events tell what the processes did:

# %%
pl.Config.set_fmt_str_lengths(120)
pg.journal_tables(run, "events")["Event"].select("task", "severity", "name", "text")

# %% [markdown]
# A replay of the run's folder reproduces its estimates bit for bit, on the same machine with the same libraries:

# %%
replay = pg.replay_files(run)
again = [list(estimate.position_ecef_m) for estimate in replay.collected.estimates]
print("equal:", again == orbit["position_ecef_m"].to_list())
