"""Gate: replays of an archive of recorded runs, compared with their accepted results."""
