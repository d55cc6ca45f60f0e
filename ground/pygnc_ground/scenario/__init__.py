"""Simulated flights: input files as the flight receives them, and the true states they were made from."""
