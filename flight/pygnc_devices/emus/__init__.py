"""Battery management systems of EMUS (G1 Control Unit): sentences of text with a checksum, broadcast and on request."""
