"""Outputs of a station: MQTT, InfluxDB and Prometheus. They read the store, so they never delay a logger."""
