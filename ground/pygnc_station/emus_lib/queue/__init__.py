"""Queue of expected responses."""
