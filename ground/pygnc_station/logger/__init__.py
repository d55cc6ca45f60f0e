"""Logging of devices into a store."""
