"""Steps, the oldest first."""
