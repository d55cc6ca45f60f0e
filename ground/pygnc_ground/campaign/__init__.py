"""Many flights of one kind: how large errors are, and whether they are as large as the estimators say."""
