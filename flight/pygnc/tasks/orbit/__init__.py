"""Process that estimates and predicts the orbit."""
