"""Jobs that Spark runs on the stores of a deployment: the backfill."""
