"""HTTP server of stations: receives, verifies and stores batches, and shows readings."""
