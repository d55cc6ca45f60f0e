"""Settings for all tests."""

import signal

from hypothesis import HealthCheck, settings

# A shell starts background jobs with SIGINT ignored, and programs inherit that. Tests that press Ctrl-C need it back.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines differ in speed, so no example has a time limit; each test has one.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")
