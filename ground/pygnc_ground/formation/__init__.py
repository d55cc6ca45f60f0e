"""Relative orbits on the ground: how well they can be known, and how well a simple method knows them."""
