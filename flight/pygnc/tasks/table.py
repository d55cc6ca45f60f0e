"""Task table: all processes of a run. The diagram in docs/architecture.md is generated from it."""

from typing import Final

from pygnc.formats.status import TASK_NAMES
from pygnc.supervisor.process import TaskSpec

SOURCE, ORBIT, ATTITUDE, FORMATION, BATCH_WRITER, STATUS, HOST_LINK, DEVICE_READER = TASK_NAMES
"""Names of the tasks, in the order of the status record. Three are started only if they are needed: the host link if
there is a line to the host, the device reader if the settings name a device, the formation task by the first packet
that concerns a partner."""

SHARED: Final = (
    "pygnc.common.arrays",
    "pygnc.estimators.checkpoint",
    "pygnc.estimators.clock.clock_map",
    "pygnc.estimators.orbit.j2_propagator",
    "pygnc.estimators.orbit.measurement",
    "pygnc.environment.drag",
    "pygnc.environment.sun_moon",
    "pygnc.environment.frames",
    "pygnc.environment.gravity",
    "pygnc.environment.solar_radiation",
    "pygnc.formats.ranges",
    "pygnc.formats.sense_search",
    "pygnc.tasks.batch_writer.task",
    "pygnc.tasks.status.task",
    "pygnc.navigation",
    "pygnc.tasks.recovery",
    "pygnc.tasks.formation.task",
    "pygnc.inputs.range_folders",
)
"""Modules loaded before the tasks are forked: modules that several tasks need, and three small tasks, because any
import makes a process modify about a megabyte of shared memory."""

TASKS: Final = (
    TaskSpec(
        name=SOURCE,
        purpose="parses, orders, numbers and journals every input",
        entry="IngestTask",
        reads=(
            "~/sense.bin",
            "~/range/rng#####.bin",
            "~/range/partner_##/rng#####.bin",
            "~/pygnc_elements.txt",
            "host",
            "devices",
        ),
        writes=("input",),
        critical=True,
        stop_stage=1,
        silence_limit_s=3.0,
        oom_score_adj=150,
    ),
    TaskSpec(
        name=ORBIT,
        purpose="estimates and predicts the orbit from GPS fixes, or from mean elements",
        entry="OrbitTask",
        reads=("input",),
        writes=("orbit", "~/pygnc_omm.bin"),
        stop_stage=2,
        silence_limit_s=3.0,
        oom_score_adj=200,
    ),
    TaskSpec(
        name=ATTITUDE,
        purpose="estimates the attitude from sensor samples and the orbit",
        entry="AttitudeTask",
        reads=("input", "orbit"),
        writes=("attitude",),
        stop_stage=2,
        silence_limit_s=3.0,
        reports_run=True,
        oom_score_adj=700,
    ),
    TaskSpec(
        name=FORMATION,
        purpose="estimates the partners' orbits from ranges and fixes; started by the first packet of a partner",
        entry="FormationTask",
        reads=("input", "orbit"),
        writes=("formation",),
        stop_stage=2,
        on_demand=True,
        reports_run=True,
        oom_score_adj=900,
    ),
    TaskSpec(
        name=BATCH_WRITER,
        purpose="writes the interface's files from the input journal; removes old runs",
        entry="BatchWriterTask",
        reads=("input",),
        writes=("~/pygnc_batch/",),
        stop_stage=3,
        reports_run=True,
        oom_score_adj=500,
    ),
    TaskSpec(
        name=STATUS,
        purpose="writes the status record and the info line",
        entry="StatusTask",
        reads=("orbit", "attitude", "formation"),
        writes=("~/pygnc_status.bin", "~/pygnc_info.txt"),
        critical=True,
        stop_stage=4,
        reports_run=True,
        outlives_main=True,
        oom_score_adj=100,
    ),
    TaskSpec(
        name=HOST_LINK,
        purpose="serves the host over its terminal or a serial port",
        entry="HostLinkTask",
        reads=("~tty",),
        writes=("host",),
        stop_stage=0,
        oom_score_adj=300,
    ),
    TaskSpec(
        name=DEVICE_READER,
        purpose="reads the sensors that the settings name",
        entry="DevicesTask",
        reads=("~ports",),
        writes=("devices",),
        stop_stage=0,
        oom_score_adj=400,
    ),
)
