"""Replay: recorded files through the estimators of the flight software, then smoothers and batch solution."""
