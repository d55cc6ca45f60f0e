"""Decode ~/pygnc_status.bin with only struct and binascii; runs on CircuitPython too.

Usage: python read_status.py [FILE]

FIELDS has the name and the struct code of each field, little-endian, without padding. The tables are generated from the
flight software (flight/pygnc/formats/status.py).

LAYOUT has one entry for consecutive fields: prefixes of the names, and rows for each of these prefixes. A row has
fields of one struct code: the code, then the names; a suffix "_xyz" or "_wxyz" is one field per axis. MISSING is the
number of fields at the end that a record of an earlier version lacks.
"""

# The codes determine which fields are numbers; CircuitPython has no casts.
# mypy: disable-error-code="assignment,arg-type,str-bytes-safe"

import binascii
import struct
import sys

# Tables: made by scripts/generate/docs.py.
# fmt: off
VERSION = 7
MISSING = {4: 5, 5: 4, 6: 1}
TASKS = ("ingest", "orbit", "attitude", "formation", "batch_writer", "status", "host_link", "devices")
STATES = ("none", "starting", "up", "stopped", "failed")
WORDS = {
    "phase": ("starting", "batch", "idle", "no data", "stopping", "stopped", "failed"),
    "orbit_mode": ("none", "at fix", "predicted", "elements"),
    "attitude_mode": ("none", "searching", "coarse", "fine"),
    "in_sun": ("eclipse", "sunlight"),
}
LAYOUT = (
    (("",), """
4s magic
B version phase
H size
I generation run_number uptime_s spacecraft_time_s
H gps_week
I gps_tow_ms
B orbit_mode
H orbit_gps_week
I orbit_gps_tow_ms
f orbit_age_s
d position_ecef_m_xyz velocity_ecef_mps_xyz
f position_sigma_m_xyz velocity_sigma_mps_xyz nis_mean
I nis_count
B attitude_mode
H attitude_gps_week
I attitude_gps_tow_ms
f attitude_orbit_age_s quaternion_wxyz rate_body_rad_s_xyz attitude_sigma_rad_xyz gyro_bias_rad_s_xyz
f mag_bias_ut_xyz mag_body_ut_xyz
B in_sun dead_faces mirrored_faces stuck_gyro_axes gyro_axes_beyond_range
"""),
    (("partner0_", "partner1_", "partner2_"), """
B id ambiguous
H gps_week
I gps_tow_ms
f rtn_m_xyz rtn_mps_xyz sigma_m_xyz bias_m residual_m chi2_best chi2_mirror closest_m closest_sigma_m
f closest_in_s
"""),
    (["task_" + name + "_" for name in TASKS], """
B state restarts
I through
"""),
    (("",), """
I events
B not_recorded
I lost_messages
H source_files unreadable_files
I source_bytes delivered_bytes damaged_bytes
H damaged_ranges
I sensor_packets gps_packets range_packets batch_written_bytes fixes_received fixes_accepted
H fixes_waiting velocities_rejected rejected_no_time rejected_time_status rejected_time_inconsistent
H rejected_position_status rejected_no_satellites rejected_not_finite rejected_zero_position rejected_radius
H rejected_not_later rejected_gap rejected_gate rejected_start
I samples_received samples_used
H samples_held samples_searching samples_no_time samples_not_later samples_not_finite samples_no_surroundings
H samples_gate attitude_starts
I mag_calibration_seen mag_calibration_kept
f mag_calibration_sigma_ut_xyz
I ranges_received
H ranges_held ranges_no_time
I ranges_used
H ranges_rejected
I fixes_of_partners
H manoeuvres ranges_repeated
I ranges_old ranges_unsolved
H readings_used
"""),
)
# fmt: on
# End of the tables.


def expand(rows: str, prefix: str) -> "list[str]":
    """Return "name code" of each field of a table, with a prefix before the names."""
    found = []
    for row in rows.strip().split("\n"):
        code, *names = row.split(" ")
        for name in names:
            axes = name.split("_")[-1]
            if axes in ("xyz", "wxyz"):
                found += [prefix + name[: -len(axes)] + axis + " " + code for axis in axes]
            else:
                found.append(prefix + name + " " + code)
    return found


FIELDS = []
for prefixes, rows in LAYOUT:
    for prefix in prefixes:
        FIELDS += expand(rows, prefix)


def decode(record: bytes) -> "dict[str, int | float | bytes]":
    """Return the fields by name; raise ValueError if the record is not complete, undamaged and of this version."""
    count = len(FIELDS) - MISSING.get(record[4] if len(record) > 4 else 0, 0)
    fields = FIELDS[:count]
    layout = "<" + "".join(field.split()[1] for field in fields)
    size = struct.calcsize(layout)
    if len(record) != size + 4 or record[:4] != b"PGST":
        raise ValueError(
            f"{len(record)} bytes are not a status record ({size + 4} bytes from PGST on); copy pygnc_status.bin again"
        )
    if record[4] != VERSION and record[4] not in MISSING:
        raise ValueError(f"status record of version {record[4]}; use the read_status.py of that version, not {VERSION}")
    (crc,) = struct.unpack("<I", record[size:])
    if binascii.crc32(record[:size]) & 0xFFFFFFFF != crc:
        raise ValueError("the CRC-32 of the status record is wrong; copy the file again")
    values = struct.unpack(layout, record[:size])
    status = {field.split()[0]: value for field, value in zip(fields, values)}
    for field in FIELDS[count:]:
        status[field.split()[0]] = 0
    return status


def word(words: "tuple[str, ...]", number: int) -> str:
    """Return the word for a number, or the number itself if a later version has added words."""
    return words[number] if number < len(words) else str(number)


def lines(status: "dict[str, int | float | bytes]") -> "list[str]":
    """Return the record as lines for people, without unknown quantities and empty slots."""
    found = []
    for field in FIELDS:
        name = field.split()[0]
        value = status[name]
        is_empty_slot = name[:7] == "partner" and not status[name[:8] + "_id"]
        is_unknown = value != value  # NaN  # noqa: PLR0124 - math.isnan would be one more import on the controller
        if name == "magic" or name[:5] == "task_" or is_empty_slot or is_unknown:
            continue
        if name in WORDS:
            value = word(WORDS[name], int(value))
        elif isinstance(value, float):
            value = f"{value:.10g}"
        found.append(f"{name:28} {value}")
    for task in TASKS:
        if status[f"task_{task}_state"]:
            state = word(STATES, int(status[f"task_{task}_state"]))
            through, restarts = status[f"task_{task}_through"], status[f"task_{task}_restarts"]
            found.append(f"task {task:23} {state}, through input {through}, {restarts} restarts")
    return found


def main() -> int:
    """Print the file named on the command line."""
    path = sys.argv[1] if len(sys.argv) > 1 else "pygnc_status.bin"
    try:
        with open(path, "rb") as file:
            status = decode(file.read())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}")
        return 1
    for line in lines(status):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
