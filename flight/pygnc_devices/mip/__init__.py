"""MicroStrain devices with the MIP protocol: 3DM-GX3-45, GX4, GX5, CV5, CV7, GQ7."""
