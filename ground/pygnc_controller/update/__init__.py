"""New flight code onto a Pi: sent, verified, tried, switched to; and back if it does not come up."""
