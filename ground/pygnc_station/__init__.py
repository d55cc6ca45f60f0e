"""Sensor stations: loggers, their store, uploads, outputs and the server that collects them."""
