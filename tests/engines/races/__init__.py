"""Writers that append while Spark maintains the same table, as in production."""
