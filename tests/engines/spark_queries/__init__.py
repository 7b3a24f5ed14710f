"""The jobs of queries/spark, run on Spark as a user runs them."""
