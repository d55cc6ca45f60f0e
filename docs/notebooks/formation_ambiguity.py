# %% [markdown]
# # Formation ambiguity explained
#
# Two satellites measure their distance by radio. A distance has no direction: several orbits of the partner have nearly
# the same distances at all times. The estimator keeps all of them as hypotheses, and says so.

# %%
import matplotlib.pyplot as plt

import pygnc_ground as pg

partner = {"id": 75, "position_rtn_m": [0.0, 600.0, 0.0], "velocity_rtn_mps": [0.02, 0.03, 0.05]}
settings = {
    "partners": [partner],
    "attitude": {"rate_body_deg_s": [0.8, 0.5, 0.33]},
    "ranging": {"noise_m": 2.0},
    "formation": {"all_satellites": True},
}
scenario = pg.make_scenario("nominal", settings, duration_s=7200, seed=2)
files = scenario.write("formation")

# %% [markdown]
# With our own measurements alone, the partner's receiver is unknown, and only the distances are left:

# %%
alone = pg.replay_files(
    "formation/74/sense.bin",
    ranges="formation/74/range",
    truth="formation/74/truth.parquet",
    partner_truth={"75": "formation/75/truth.parquet"},
)
(found,) = alone.partners
print(found.name, "is", found.state)
for number, candidate in enumerate(found.orbits):
    error_m = candidate.accuracy.error_m
    print(f"orbit {number}: chi-square {candidate.above:4.1f} above the best, {error_m:6.1f} m from the truth")

# %% [markdown]
# A difference of less than one in chi-square says nothing: the orbit that is nearest to the truth need not be the best.
# All candidates have the correct distances, and reflections of the true motion are among them.
#
# The candidates in the frame of our orbit, radial, transverse and normal, with the true motion:

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for panel, (across, up) in zip(axes, ((1, 0), (1, 2)), strict=True):
    for number, candidate in enumerate(found.orbits):
        rtn = candidate.orbit.rtn
        panel.plot(rtn[:, across], rtn[:, up], label=f"orbit {number}")
    true = found.result.true_track
    panel.plot(true[:, across], true[:, up], "k:", label="truth")
    panel.set_xlabel("transverse [m]")
    panel.set_ylabel(("radial", "transverse", "normal")[up] + " [m]")
axes[0].legend()
figure.suptitle("Orbits of the partner with the same distances")
plt.show()

# %% [markdown]
# A joint solution also uses the fixes of the partner's receiver, which no other orbit explains:

# %%
both = {"74": "formation/74", "75": "formation/75"}
joint = pg.replay_files(satellites=both, truth="formation/74/truth.parquet")
(found,) = joint.partners
print(f"{found.name} is {found.state}: error {found.accuracy.error_m:.1f} m, sigma {found.accuracy.sigma_m:.1f} m")

# %% [markdown]
# The bound shows that the fixes do most of it. It assumes that the right hypothesis is known:

# %%
for name, everyone in (("own ranges", False), ("all fixes and ranges", True)):
    changed = settings | {"formation": {"all_satellites": everyone}}
    chosen = pg.scenario_settings("nominal", changed, duration_s=7200)
    print(f"{name}: {pg.bound_formation(chosen).rms_all_m:.2f} m")
