"""Commands of a unit that are not settings. One line declares a command: name, descriptors, values, meaning.

Values are texts as those of settings; see `values`. Source: MIP SDK of MicroStrain (`definitions/commands_3dm.h`,
`commands_filter.h`).
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from pygnc_devices.declaration import Labels, declared
from pygnc_devices.mip.data_field import bits, choice
from pygnc_devices.mip.settings import AIDING, FILTER_COMMANDS, LABELS, THREE_DM
from pygnc_devices.mip.values import LabelledCode, Values


@dataclass(frozen=True, slots=True)
class Action:
    """Command that acts or returns values.

    Attributes:
        descriptor_set: descriptor set of the command.
        name: name of the command.
        command: descriptor of the command.
        values: layout of its values.
        meaning: description.
        reply: descriptor of the field of the response; None: the unit only acknowledges.
        result: layout of the values of the response.
        echo: number of bytes of the values with which the response begins.
        seconds: time limit for the response, s.
    """

    descriptor_set: int
    name: str
    command: int
    values: Values
    meaning: str
    reply: int | None = None
    result: Values = Values()  # noqa: RUF009 - immutable
    echo: int = 0
    seconds: float = 2.0


_values: Final = partial(
    Values.of,
    labels=LABELS
    | {
        "streaming": LabelledCode("B", choice("overwrite", "merge", "add")),
        "sensor": LabelledCode("B", choice("all", "accel", "gyro", "mag", "pressure")),
        "query": LabelledCode("B", choice("triggers", "actions", start=1)),
        "status": LabelledCode("B", bits("active", "enabled", "test")),
        "north": LabelledCode("B", choice("true", "magnetic", start=1)),
        "timebase": LabelledCode("B", choice("internal", "external", "arrival", start=1)),
        "axes": LabelledCode("H", bits("x", "y", "z")),
        "position": LabelledCode("H", bits("latitude", "longitude", "height")),
        "valid": LabelledCode("H", choice("invalid", "valid")),
        "capture": LabelledCode("B", Labels({1: "use", 3: "save"})),
    },
)
_three_dm: Final = partial(Action, THREE_DM)
_filter: Final = partial(Action, FILTER_COMMANDS)
_AIDING: Final = "timebase:timebase one:B time_ns:Q frame:B"
_HEADING: Final = "heading_rad:f sd_rad:f north:north"
_GEODETIC: Final = "latitude_deg:d longitude_deg:d height_m:d sd_m:3f valid:position"
_GPS_TIME: Final = "tow_s:d week:H"
ACTIONS: Final = {
    action.name: action
    for action in (
        *(
            _three_dm(
                *(f"poll.{name}", command, _values("acknowledge:x", entry="field:B divider:H")),
                f"send fields of the data set {name}, or those of its format; dividers are ignored",
            )
            for command, name in enumerate(("sensor", "gnss", "filter"), 1)
        ),
        _three_dm(
            *("poll.nmea", 0x04),
            _values("acknowledge:x", entry="message:message talker:talker data_set:data_set divider:H"),
            "send NMEA sentences; the divider is 0",
        ),
        _three_dm("factory_streaming", 0x10, _values("action:streaming reserved:x"), "streams for technical support"),
        _three_dm(
            *("event_support", 0x2A, _values("query:query"), "number and types of triggers or actions", 0xB4),
            _values("most:B", entry="type:B most:B"),
            echo=1,
        ),
        _three_dm(
            *("event_triggers", 0x2C, _values("", entry="number:B"), "states of the triggers; none: of all", 0xB6),
            _values("", entry="type:trigger status:status"),
        ),
        _three_dm(
            *("event_actions", 0x2D, _values("", entry="number:B"), "types of the actions, and their triggers", 0xB7),
            _values("", entry="type:action trigger:B"),
        ),
        _three_dm(
            *("gyro_bias_capture", 0x39, _values("ms:H"), "measure the bias of the gyro at rest, and use it", 0x9B),
            _values("bias_rad_s:3f"),
            seconds=70.0,
        ),
        _three_dm(
            *("sensor_ranges", 0x53, _values("sensor:sensor"), "ranges by number; g, deg/s, G, hPa", 0xD3),
            _values("", entry="number:B range:f"),
            echo=1,
        ),
        _filter("filter.reset", 0x01, _values(""), "restart the filter"),
        _filter("filter.attitude", 0x02, _values("roll_rad:f pitch_rad:f heading_rad:f"), "initial attitude"),
        _filter("filter.initial_heading", 0x03, _values("heading_rad:f"), "initial heading"),
        _filter("filter.run", 0x05, _values(""), "start the filter, if it waits for this command"),
        _filter(
            *("filter.external_gnss", 0x16),
            _values(
                f"{_GPS_TIME} latitude_deg:d longitude_deg:d height_m:d velocity_ned_mps:3f sd_ned_m:3f sd_ned_mps:3f"
            ),
            "measurement of an external receiver",
        ),
        _filter("filter.external_heading", 0x17, _values(_HEADING), "measurement of a heading"),
        _filter("filter.external_heading_at", 0x1F, _values(f"{_GPS_TIME} {_HEADING}"), "heading at a GPS time"),
        _filter("filter.zero_velocity", 0x22, _values(""), "the velocity is zero now"),
        _filter("filter.zero_angular_rate", 0x23, _values(""), "the angular rate is zero now"),
        _filter(
            *("filter.mag_capture", 0x27, _values("function:capture")),
            "take hard and soft iron from the filter's estimate; then save them",
        ),
        *(
            Action(AIDING, f"aiding.{name}", command, _values(f"{_AIDING} {values}"), f"measurement, {meaning}")
            for name, command, values, meaning in (
                ("position_ecef", 0x21, "position_m:3d sd_m:3f valid:axes", "position in ECEF"),
                ("position", 0x22, _GEODETIC, "geodetic position; standard deviations north, east, down"),
                ("height", 0x23, "height_m:f sd_m:f valid:valid", "height above the ellipsoid"),
                ("velocity_ecef", 0x28, "velocity_mps:3f sd_mps:3f valid:axes", "velocity in ECEF"),
                ("velocity", 0x29, "velocity_mps:3f sd_mps:3f valid:axes", "velocity north, east, down"),
                ("velocity_frame", 0x2A, "velocity_mps:3f sd_mps:3f valid:axes", "velocity in the sensor's axes"),
                ("heading", 0x31, "heading_rad:f sd_rad:f valid:valid", "true heading"),
                ("magnetic_field", 0x32, "field_gauss:3f sd_gauss:3f valid:axes", "magnetic field in its axes"),
                ("pressure", 0x33, "pressure_mbar:f sd_mbar:f valid:valid", "pressure"),
            )
        ),
        _filter("filter.speed", 0x60, _values("source:B tow_s:f speed_mps:f sd_mps:f"), "measurement of a speed"),
    )
}
"""Commands by name."""


def action(name: str) -> Action:
    """Return the declaration of a command.

    Raises:
        SettingError: the command does not exist.
    """
    return declared(ACTIONS, name, "command")
