"""`pygnc inspect`: every file of PyGNC in a form that a person, or with `--json` a program, can read."""
