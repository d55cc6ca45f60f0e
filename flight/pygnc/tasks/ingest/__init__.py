"""Process that parses, orders, numbers and journals every input."""
