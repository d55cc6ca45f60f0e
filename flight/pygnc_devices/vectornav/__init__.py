"""VectorNav devices: VN-100, VN-200, VN-300 and later models with the same protocol."""
