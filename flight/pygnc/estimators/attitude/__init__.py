"""Attitude determination on board."""
