"""Update of the flight code on a Pi: send, verify, test, switch, and roll back on failure."""
