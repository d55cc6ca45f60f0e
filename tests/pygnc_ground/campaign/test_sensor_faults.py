from collections.abc import Sequence

import pytest

from pygnc.bus.messages import GnssFix, Message, SensorSample
from pygnc.configuration.settings import Settings
from pygnc_ground.campaign.definition import plan_run
from pygnc_ground.campaign.run import run_one, simulated
from pygnc_ground.campaign.sensor_faults import SensorFault, with_faults
from tests.pygnc_ground.campaign.samples import short_campaign


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return simulated(plan_run(short_campaign(), 0)).inputs(Settings())


def samples(messages: Sequence[Message]) -> list[SensorSample]:
    return [message for message in messages if isinstance(message, SensorSample)]


def faulty(messages: list[Message], fault: SensorFault, seed: int = 1) -> list[Message]:
    return list(with_faults(messages, [fault], seed))


def test_faces_and_axes_fail_during_the_fault_only(messages: list[Message]) -> None:
    before = samples(messages)
    dead = samples(faulty(messages, SensorFault(kind="dead face", face="+Y", begin_s=100.0, duration_s=50.0)))
    mirrored = samples(faulty(messages, SensorFault(kind="mirrored face", face="+X")))
    stuck = samples(faulty(messages, SensorFault(kind="stuck gyro", axis="z", begin_s=100.0)))
    begin_s = before[0].t_spacecraft_s
    for old, new, mirror, gyro in zip(before, dead, mirrored, stuck, strict=True):
        after_s = old.t_spacecraft_s - begin_s
        assert new.lux[1] == (0.0 if 100 <= after_s < 150 else old.lux[1])
        assert new.lux[2:] == old.lux[2:]
        assert mirror.lux[0] == mirror.lux[3] == old.lux[3]
        assert gyro.gyro_imu_rad_s[2] == (0.0 if after_s >= 100 else old.gyro_imu_rad_s[2])


def test_lost_samples_and_gaps_remove_messages(messages: list[Message]) -> None:
    lost = faulty(messages, SensorFault(kind="lost samples", fraction=0.5))
    assert 0.2 < len(samples(lost)) / len(samples(messages)) < 0.8
    fixes = [message for message in messages if isinstance(message, GnssFix)]
    assert [message for message in lost if isinstance(message, GnssFix)] == fixes
    gap = faulty(messages, SensorFault(kind="gap", begin_s=50.0, duration_s=100.0))
    assert len(samples(messages)) - len(samples(gap)) == 20
    assert len(fixes) - sum(isinstance(message, GnssFix) for message in gap) == 4


def test_the_rate_is_a_fraction_of_the_runs(messages: list[Message]) -> None:
    fault = SensorFault(kind="dead face", probability=0.3)
    hit = [faulty(messages[:20], fault, seed) != messages[:20] for seed in range(200)]
    assert 0.2 < sum(hit) / len(hit) < 0.4
    assert faulty(messages[:20], fault, 3) == faulty(messages[:20], fault, 3)


def test_the_filter_flags_a_dead_face() -> None:
    fault = {"kind": "dead face", "face": "+X"}
    campaign = short_campaign(scenario={"duration_s": 1800}, begin="sunlight", sensor_faults=[fault])
    assert run_one(plan_run(campaign, 0)).row["attitude_faces_flagged"] == 1.0
