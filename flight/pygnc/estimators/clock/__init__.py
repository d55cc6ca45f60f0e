"""Relation between spacecraft time and GPS time."""
