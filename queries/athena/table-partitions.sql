-- Which partitions have the most files?
--
-- Parameters: none.
--
-- Reads: metadata only, no partition.

SELECT
  "partition".tenant_id AS tenant_id,
  "partition".year AS year,
  "partition".month AS month,
  file_count,
  record_count,
  total_size AS bytes
FROM "sales_history$partitions"
ORDER BY file_count DESC, "partition".tenant_id, "partition".year, "partition".month
LIMIT 100
