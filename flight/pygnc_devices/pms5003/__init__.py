"""Plantower PMS5003 particle counters, and models with the same frame: PMS1003, PMS7003, PMSA003."""
