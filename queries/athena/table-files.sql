-- How many data files does the table have, and how many of them are small?
--
-- Parameters: none.
--
-- Reads: metadata only, no partition.
--
-- Many small files make a query slow, because a reader opens each of them. S3 Tables compacts them.

SELECT
  count(*) AS files,
  count(CASE WHEN file_size_in_bytes < 67108864 THEN 1 END) AS files_below_64_mb,
  CAST(sum(record_count) AS bigint) AS row_count,
  CAST(sum(file_size_in_bytes) AS bigint) AS bytes,
  CAST(min(file_size_in_bytes) AS bigint) AS smallest_bytes,
  CAST(max(file_size_in_bytes) AS bigint) AS largest_bytes
FROM "sales_history$files"
