"""Transfer of readings to servers: batches, senders, retries, and synchronisation with a central store."""
