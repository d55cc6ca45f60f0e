"""HTML report of a replay: statistics, findings and figures."""
