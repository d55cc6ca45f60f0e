"""MicroStrain 3DM-GX2, Inertia-Link and, in what it alters, 3DM-GX3-25: the single-byte protocol."""
