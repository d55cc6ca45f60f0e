"""Many simulated flights of one kind: accuracy and consistency of the estimators."""
