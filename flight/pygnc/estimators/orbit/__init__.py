"""The orbit filter: state, dynamics, measurement and filter are separate modules."""
