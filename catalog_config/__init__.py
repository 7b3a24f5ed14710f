"""How a catalog is reached, with time-outs, and how the table in it is provisioned."""
