"""Settings for all tests."""

import signal

# A shell starts background jobs with SIGINT ignored, and programs inherit that. Tests that press Ctrl-C need it back.
signal.signal(signal.SIGINT, signal.default_int_handler)
