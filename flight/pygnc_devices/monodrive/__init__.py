"""The IMU of the monoDrive simulator: replies of a 3DM-GX2 with a time of week behind, by TCP or UDP."""
