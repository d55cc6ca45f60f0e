"""One module per OS process."""
