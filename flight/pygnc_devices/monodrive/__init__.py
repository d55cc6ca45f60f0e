"""The IMU of the monoDrive simulator: packets of a 3DM-GX2 followed by the time of week, by TCP or UDP."""
