"""Simulated devices: each behaves like the real unit, with line faults by rate and seed.

They share the declared tables with the drivers, but no code: a fault common to both would be invisible to every test.
"""
