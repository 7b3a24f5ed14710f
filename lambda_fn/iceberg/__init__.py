"""The Iceberg table of sales: staging, commit and judgement, history, scan."""
