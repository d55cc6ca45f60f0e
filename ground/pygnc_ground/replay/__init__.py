"""Replay: recorded files through the flight's own estimators, then smoothers and batch solution."""
