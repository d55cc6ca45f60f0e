"""Sensor stations: logger, store, batches, uploads, server and outputs."""
