"""Recorded files through the flight's own estimators."""
