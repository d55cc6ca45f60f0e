# %% [markdown]
# # Comparing two versions
#
# Which estimates does a new version change, and are they better? Replay the same recorded files with both versions,
# each in its own environment, and compare the folders:
#
#     old/bin/pygnc replay flight/sense.bin --truth flight/truth.parquet --out before
#     new/bin/pygnc replay flight/sense.bin --truth flight/truth.parquet --out after
#
# Here, a changed setting stands for the new version.

# %%
import pygnc_ground as pg

files = pg.make_scenario("realistic", duration_s=3600, seed=9).write("flight")
before = pg.replay_files("flight/sense.bin", truth="flight/truth.parquet")
changed = {"orbit": {"measurement": {"correlated_errors": False}}}
after = pg.replay_files("flight/sense.bin", truth="flight/truth.parquet", settings=changed)

# %% [markdown]
# One row per quantity that changed in any bit, with the largest change in its unit and in standard deviations. Names of
# the folders `before` and `after` work as well as tables in memory:

# %%
changes = pg.compare_tables(before.tables, after.tables)
changes.filter(changes["table"] == "orbit").drop("relative")

# %% [markdown]
# A change is not yet a fault. The truth decides:

# %%
for old, new in zip(before.orbits, after.orbits, strict=True):
    errors_m = old.accuracy.position_error_m, new.accuracy.position_error_m
    print(f"{old.name:8} before {errors_m[0]:5.2f} m, after {errors_m[1]:5.2f} m")

# %% [markdown]
# The same replay twice changes nothing:

# %%
again = pg.replay_files("flight/sense.bin", truth="flight/truth.parquet")
print(f"{len(pg.compare_tables(before.tables, again.tables))} changes")

# %% [markdown]
# `pygnc gate` does this for an archive of runs, with accepted results and an exit code for continuous integration.
