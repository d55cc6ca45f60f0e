"""The pipeline: the same estimates in one thread and for messages that arrive in any order."""

import random
from collections.abc import Sequence

import msgspec
import pytest

from pygnc.bus.messages import AttitudeEstimate, InputMessage, OrbitMessage, OrbitWatermark
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.pipeline import AttitudeStage, Pipeline, orbit_response
from tests.pygnc.navigation.attitude_batch import NONE, tracker


def in_one_thread(inputs: Sequence[InputMessage]) -> tuple[list[OrbitMessage], list[AttitudeEstimate]]:
    pipeline = Pipeline(OrbitTracker(OrbitSettings(), NONE), AttitudeStage(tracker()), None)
    results = [pipeline.process(message) for message in inputs]
    orbits = [message for result in results for message in result.orbit.messages]
    return orbits, [record.estimate for result in results for record in result.attitude]


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_arrival_changes_no_bit(inputs: list[InputMessage], seed: int) -> None:
    orbits, expected = in_one_thread(inputs)
    stage, arrivals = AttitudeStage(tracker()), random.Random(seed)  # noqa: S311 - no secrets
    waiting_inputs, waiting_orbits, estimates = [*inputs], [*orbits], list[AttitudeEstimate]()
    while True:
        results = stage.step()
        if results is not None:
            estimates += [record.estimate for record in results]
        elif waiting_inputs or waiting_orbits:
            for queue, waiting in ((stage.inputs, waiting_inputs), (stage.orbits, waiting_orbits)):
                count = arrivals.choice([0, 1, 2, 50])
                queue.extend(waiting[:count])
                del waiting[:count]
        else:
            break
    assert msgspec.msgpack.encode(estimates) == msgspec.msgpack.encode(expected)
    assert stage.last_input_seq == inputs[-1].seq


def test_a_stage_waits_for_the_orbit_unless_it_is_late(inputs: list[InputMessage]) -> None:
    stage = AttitudeStage(tracker())
    stage.inputs += inputs
    while (results := stage.step()) is not None:
        list(results)
    assert stage.tracker.awaits_orbit
    taken = len(inputs) - len(stage.inputs)
    late = stage.step(orbit_is_late=True)
    assert late is not None
    list(late)
    assert len(stage.inputs) == len(inputs) - taken - 1


def test_every_response_of_the_orbit_ends_with_its_input(inputs: list[InputMessage]) -> None:
    orbit, last_seq = OrbitTracker(OrbitSettings(), NONE), 0
    for message in inputs:
        response = orbit_response(orbit, message, last_seq + 1)
        assert [one.seq for one in response.messages] == list(
            range(last_seq + 1, last_seq + 1 + len(response.messages))
        )
        last_seq += len(response.messages)
        if response.messages:
            last = response.messages[-1]
            assert (last.last_input_seq if isinstance(last, OrbitWatermark) else last.input_seq) == message.seq
