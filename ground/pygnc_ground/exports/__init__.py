"""Estimates as messages that others read: CCSDS navigation data messages, TLE, MCAP."""
