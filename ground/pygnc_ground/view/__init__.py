"""Server of `pygnc view`: it follows a run or a link to a satellite and feeds the player in browsers."""
