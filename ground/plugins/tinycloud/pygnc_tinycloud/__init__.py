"""Upload of batches to servers of tinycloud."""
