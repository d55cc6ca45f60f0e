"""The attitude filter: start, propagation, light, field and filter are separate modules."""
