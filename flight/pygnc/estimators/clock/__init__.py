"""The map from spacecraft time to GPS time."""
