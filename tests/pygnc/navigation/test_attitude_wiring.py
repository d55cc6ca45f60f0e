"""Use of the verdicts on the sensors' axes by the attitude tracker."""

import pytest

from pygnc.estimators.attitude.wiring import SensorAxes, Verdict, Wiring
from pygnc.inputs.sense_file import SenseFile
from pygnc.navigation.wiring_check import WiringCheck
from tests.pygnc.navigation.attitude_batch import batch, orbits_of, run, tracker

RIGHT = Wiring(Verdict.RIGHT, "+x +y +z", "+x +y +z")
WRONG = Wiring(Verdict.WRONG, "+y ? ?", "+y -x +z", 0.07)


@pytest.mark.parametrize("axes", [SensorAxes(WRONG, RIGHT), SensorAxes(RIGHT, WRONG)])
def test_no_attitude_is_fine_while_axes_are_refuted(
    axes: SensorAxes, demo: SenseFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(check: WiringCheck, *_: object, **__: object) -> bool:
        check.axes = axes
        return False

    inputs = batch(demo, 16)
    orbits = orbits_of(inputs)
    declared = run(tracker(), inputs, orbits)
    assert declared[-1].mode == "fine"
    assert {estimate.magnetometer_wiring for estimate in declared} == {"unknown"}
    monkeypatch.setattr(WiringCheck, "process", judged)
    refuted = run(tracker(), inputs, orbits)
    assert {estimate.mode for estimate in refuted} == {"searching", "coarse"}
    assert refuted[-1].quaternion_gcrf_from_body == declared[-1].quaternion_gcrf_from_body
    assert {(one.magnetometer_wiring, one.magnetometer_axes) for one in refuted} == {
        (axes.magnetometer.verdict.value, axes.magnetometer.axes)
    }
    assert {(one.gyro_wiring, one.gyro_axes) for one in refuted} == {(axes.gyro.verdict.value, axes.gyro.axes)}
