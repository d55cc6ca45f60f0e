"""Decode ~/pygnc_status.bin with nothing but struct and binascii; runs on CircuitPython too.

Usage: python read_status.py [FILE]

FIELDS is the layout: name and struct code of each field, little-endian, without padding. It is the same table as in
the flight software (flight/pygnc/formats/status.py); a test keeps the two equal.
"""

# Which fields are numbers and which are bytes stands in their codes; the controller's Python has no casts to say it.
# mypy: disable-error-code="assignment,arg-type,str-bytes-safe"

import binascii
import struct
import sys

VERSION = 3
FIELDS = (
    "magic 4s",
    "version B",
    "phase B",
    "size H",
    "generation I",
    "run_number I",
    "uptime_s I",
    "spacecraft_time_s I",
    "gps_week H",
    "gps_tow_ms I",
    "orbit_mode B",
    "orbit_gps_week H",
    "orbit_gps_tow_ms I",
    "orbit_age_s f",
    "position_ecef_m_x d",
    "position_ecef_m_y d",
    "position_ecef_m_z d",
    "velocity_ecef_mps_x d",
    "velocity_ecef_mps_y d",
    "velocity_ecef_mps_z d",
    "position_sigma_m_x f",
    "position_sigma_m_y f",
    "position_sigma_m_z f",
    "velocity_sigma_mps_x f",
    "velocity_sigma_mps_y f",
    "velocity_sigma_mps_z f",
    "nis_mean f",
    "nis_count I",
    "attitude_mode B",
    "quaternion_w f",
    "quaternion_x f",
    "quaternion_y f",
    "quaternion_z f",
    "rate_body_rad_s_x f",
    "rate_body_rad_s_y f",
    "rate_body_rad_s_z f",
    "attitude_sigma_rad_x f",
    "attitude_sigma_rad_y f",
    "attitude_sigma_rad_z f",
    "gyro_bias_rad_s_x f",
    "gyro_bias_rad_s_y f",
    "gyro_bias_rad_s_z f",
    "mag_bias_ut_x f",
    "mag_bias_ut_y f",
    "mag_bias_ut_z f",
    "partner0_id B",
    "partner0_ambiguous B",
    "partner0_rtn_m_x f",
    "partner0_rtn_m_y f",
    "partner0_rtn_m_z f",
    "partner0_rtn_mps_x f",
    "partner0_rtn_mps_y f",
    "partner0_rtn_mps_z f",
    "partner0_sigma_m_x f",
    "partner0_sigma_m_y f",
    "partner0_sigma_m_z f",
    "partner0_bias_m f",
    "partner1_id B",
    "partner1_ambiguous B",
    "partner1_rtn_m_x f",
    "partner1_rtn_m_y f",
    "partner1_rtn_m_z f",
    "partner1_rtn_mps_x f",
    "partner1_rtn_mps_y f",
    "partner1_rtn_mps_z f",
    "partner1_sigma_m_x f",
    "partner1_sigma_m_y f",
    "partner1_sigma_m_z f",
    "partner1_bias_m f",
    "partner2_id B",
    "partner2_ambiguous B",
    "partner2_rtn_m_x f",
    "partner2_rtn_m_y f",
    "partner2_rtn_m_z f",
    "partner2_rtn_mps_x f",
    "partner2_rtn_mps_y f",
    "partner2_rtn_mps_z f",
    "partner2_sigma_m_x f",
    "partner2_sigma_m_y f",
    "partner2_sigma_m_z f",
    "partner2_bias_m f",
    "task0_name 12s",
    "task0_state B",
    "task0_restarts B",
    "task0_through I",
    "task1_name 12s",
    "task1_state B",
    "task1_restarts B",
    "task1_through I",
    "task2_name 12s",
    "task2_state B",
    "task2_restarts B",
    "task2_through I",
    "task3_name 12s",
    "task3_state B",
    "task3_restarts B",
    "task3_through I",
    "task4_name 12s",
    "task4_state B",
    "task4_restarts B",
    "task4_through I",
    "task5_name 12s",
    "task5_state B",
    "task5_restarts B",
    "task5_through I",
    "task6_name 12s",
    "task6_state B",
    "task6_restarts B",
    "task6_through I",
    "task7_name 12s",
    "task7_state B",
    "task7_restarts B",
    "task7_through I",
    "source_files H",
    "unreadable_files H",
    "source_bytes I",
    "delivered_bytes I",
    "damaged_bytes I",
    "damaged_ranges I",
    "sensor_packets I",
    "gps_packets I",
    "range_packets I",
    "batch_written_bytes I",
    "lost_messages I",
    "fixes_received I",
    "fixes_accepted I",
    "fixes_waiting I",
    "velocities_rejected I",
    "rejected_no_time I",
    "rejected_time_status I",
    "rejected_time_inconsistent I",
    "rejected_position_status I",
    "rejected_no_satellites I",
    "rejected_not_finite I",
    "rejected_zero_position I",
    "rejected_radius I",
    "rejected_not_later I",
    "rejected_gap I",
    "rejected_gate I",
    "rejected_start I",
    "events I",
    "not_recorded B",
    "attitude_gps_week H",
    "attitude_gps_tow_ms I",
    "in_sun B",
    "attitude_orbit_age_s f",
    "mag_body_ut_x f",
    "mag_body_ut_y f",
    "mag_body_ut_z f",
    "dead_faces B",
    "mirrored_faces B",
    "stuck_gyro_axes B",
    "gyro_axes_beyond_range B",
    "samples_received I",
    "samples_used I",
    "samples_held I",
    "samples_searching I",
    "samples_no_time I",
    "samples_not_later I",
    "samples_not_finite I",
    "samples_no_surroundings I",
    "samples_gate I",
    "attitude_starts I",
    "mag_calibration_seen I",
    "mag_calibration_kept I",
    "mag_calibration_sigma_ut_x f",
    "mag_calibration_sigma_ut_y f",
    "mag_calibration_sigma_ut_z f",
    "partner0_gps_week H",
    "partner0_gps_tow_ms I",
    "partner0_residual_m f",
    "partner0_chi2_best f",
    "partner0_chi2_mirror f",
    "partner0_closest_m f",
    "partner0_closest_sigma_m f",
    "partner0_closest_in_s f",
    "partner1_gps_week H",
    "partner1_gps_tow_ms I",
    "partner1_residual_m f",
    "partner1_chi2_best f",
    "partner1_chi2_mirror f",
    "partner1_closest_m f",
    "partner1_closest_sigma_m f",
    "partner1_closest_in_s f",
    "partner2_gps_week H",
    "partner2_gps_tow_ms I",
    "partner2_residual_m f",
    "partner2_chi2_best f",
    "partner2_chi2_mirror f",
    "partner2_closest_m f",
    "partner2_closest_sigma_m f",
    "partner2_closest_in_s f",
    "ranges_received I",
    "ranges_held I",
    "ranges_no_time I",
    "ranges_used I",
    "ranges_rejected I",
    "fixes_of_partners I",
)
PHASES = ("starting", "batch", "idle", "no data", "stopping", "stopped", "failed")
MODES = ("none", "at the newest fix", "predicted")
ATTITUDE_MODES = ("none", "searching", "coarse", "fine")
STATES = ("none", "starting", "up", "stopped", "failed")


def decode(record: bytes) -> "dict[str, int | float | bytes]":
    """Return the fields by name; raise ValueError when the record is not what it should be."""
    layout = "<" + "".join(field.split()[1] for field in FIELDS)
    size = struct.calcsize(layout)
    if len(record) != size + 4 or record[:4] != b"PGST":
        raise ValueError(f"no status record: it has {size + 4} bytes beginning with PGST")
    if record[4] != VERSION:
        raise ValueError(f"a status record of version {record[4]}; this program knows version {VERSION}")
    (crc,) = struct.unpack("<I", record[size:])
    if binascii.crc32(record[:size]) & 0xFFFFFFFF != crc:
        raise ValueError("the status record is damaged: its CRC-32 does not agree")
    values = struct.unpack(layout, record[:size])
    return {field.split()[0]: value for field, value in zip(FIELDS, values)}


def word(words: "tuple[str, ...]", number: int) -> str:
    """Return the word for a number, or the number itself when a later version knows more words."""
    return words[number] if number < len(words) else str(number)


def lines(status: "dict[str, int | float | bytes]") -> "list[str]":
    """Return the record as lines for people, without unknown quantities and empty slots."""
    found = []
    for field in FIELDS:
        name = field.split()[0]
        value = status[name]
        is_empty_slot = name[:7] == "partner" and not status[name[:8] + "_id"]
        is_unknown = value != value  # NaN  # noqa: PLR0124 - math.isnan would be one more import on the controller
        if name == "magic" or name[:4] == "task" or is_empty_slot or is_unknown:
            continue
        if name == "phase":
            value = word(PHASES, int(value))
        elif name == "orbit_mode":
            value = word(MODES, int(value))
        elif name == "attitude_mode":
            value = word(ATTITUDE_MODES, int(value))
        elif isinstance(value, float):
            value = f"{value:.10g}"
        found.append(f"{name:28} {value}")
    return found + task_lines(status)


def task_lines(status: "dict[str, int | float | bytes]") -> "list[str]":
    """Return one line for each task."""
    found = []
    for k in range(8):
        name = bytes(status[f"task{k}_name"]).rstrip(b"\0").decode()
        if name:
            state = word(STATES, int(status[f"task{k}_state"]))
            through, restarts = status[f"task{k}_through"], status[f"task{k}_restarts"]
            found.append(f"task {name:23} {state}, through input {through}, {restarts} restarts")
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
