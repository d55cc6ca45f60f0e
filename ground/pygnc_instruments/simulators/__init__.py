"""Devices that are not there: each behaves as the unit does, on a pty or a TCP port, with faults by rate and seed.

They share declared tables with the drivers, and no code: a fault common to both would hide from every test.
"""
