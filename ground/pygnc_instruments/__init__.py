"""Sensors on a desk: device commands, bridge to browsers, simulators."""
