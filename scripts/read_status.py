"""Decode ~/pygnc_status.bin with only struct and binascii; runs on CircuitPython too.

Usage: python read_status.py [FILE]

FIELDS is the layout: name and struct code of each field, little-endian, without padding. It is the same table as in
the flight software (flight/pygnc/formats/status.py); a test keeps the two equal.
"""

# The codes determine which fields are numbers; CircuitPython has no casts.
# mypy: disable-error-code="assignment,arg-type,str-bytes-safe"

import binascii
import struct
import sys

VERSION = 4
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
    "attitude_gps_week H",
    "attitude_gps_tow_ms I",
    "attitude_orbit_age_s f",
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
    "mag_body_ut_x f",
    "mag_body_ut_y f",
    "mag_body_ut_z f",
    "in_sun B",
    "dead_faces B",
    "mirrored_faces B",
    "stuck_gyro_axes B",
    "gyro_axes_beyond_range B",
    "partner0_id B",
    "partner0_ambiguous B",
    "partner0_gps_week H",
    "partner0_gps_tow_ms I",
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
    "partner0_residual_m f",
    "partner0_chi2_best f",
    "partner0_chi2_mirror f",
    "partner0_closest_m f",
    "partner0_closest_sigma_m f",
    "partner0_closest_in_s f",
    "partner1_id B",
    "partner1_ambiguous B",
    "partner1_gps_week H",
    "partner1_gps_tow_ms I",
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
    "partner1_residual_m f",
    "partner1_chi2_best f",
    "partner1_chi2_mirror f",
    "partner1_closest_m f",
    "partner1_closest_sigma_m f",
    "partner1_closest_in_s f",
    "partner2_id B",
    "partner2_ambiguous B",
    "partner2_gps_week H",
    "partner2_gps_tow_ms I",
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
    "partner2_residual_m f",
    "partner2_chi2_best f",
    "partner2_chi2_mirror f",
    "partner2_closest_m f",
    "partner2_closest_sigma_m f",
    "partner2_closest_in_s f",
    "task_ingest_state B",
    "task_ingest_restarts B",
    "task_ingest_through I",
    "task_orbit_state B",
    "task_orbit_restarts B",
    "task_orbit_through I",
    "task_attitude_state B",
    "task_attitude_restarts B",
    "task_attitude_through I",
    "task_formation_state B",
    "task_formation_restarts B",
    "task_formation_through I",
    "task_batch_writer_state B",
    "task_batch_writer_restarts B",
    "task_batch_writer_through I",
    "task_status_state B",
    "task_status_restarts B",
    "task_status_through I",
    "task_host_link_state B",
    "task_host_link_restarts B",
    "task_host_link_through I",
    "task_devices_state B",
    "task_devices_restarts B",
    "task_devices_through I",
    "events I",
    "not_recorded B",
    "lost_messages I",
    "source_files H",
    "unreadable_files H",
    "source_bytes I",
    "delivered_bytes I",
    "damaged_bytes I",
    "damaged_ranges H",
    "sensor_packets I",
    "gps_packets I",
    "range_packets I",
    "batch_written_bytes I",
    "fixes_received I",
    "fixes_accepted I",
    "fixes_waiting H",
    "velocities_rejected H",
    "rejected_no_time H",
    "rejected_time_status H",
    "rejected_time_inconsistent H",
    "rejected_position_status H",
    "rejected_no_satellites H",
    "rejected_not_finite H",
    "rejected_zero_position H",
    "rejected_radius H",
    "rejected_not_later H",
    "rejected_gap H",
    "rejected_gate H",
    "rejected_start H",
    "samples_received I",
    "samples_used I",
    "samples_held H",
    "samples_searching H",
    "samples_no_time H",
    "samples_not_later H",
    "samples_not_finite H",
    "samples_no_surroundings H",
    "samples_gate H",
    "attitude_starts H",
    "mag_calibration_seen I",
    "mag_calibration_kept I",
    "mag_calibration_sigma_ut_x f",
    "mag_calibration_sigma_ut_y f",
    "mag_calibration_sigma_ut_z f",
    "ranges_received I",
    "ranges_held H",
    "ranges_no_time H",
    "ranges_used I",
    "ranges_rejected H",
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
        if name == "magic" or name[:5] == "task_" or is_empty_slot or is_unknown:
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
    for field in FIELDS:
        name = field.split()[0]
        if name[:5] == "task_" and name[-6:] == "_state" and status[name]:
            task = name[5:-6]
            state = word(STATES, int(status[name]))
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
