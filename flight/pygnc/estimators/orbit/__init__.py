"""Orbit determination on board."""
