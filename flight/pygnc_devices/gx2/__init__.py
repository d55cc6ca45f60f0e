"""MicroStrain 3DM-GX2, Inertia-Link and, where its commands differ, 3DM-GX3-25: the single-byte protocol."""
