-- How are small files compacted, where S3 Tables does not do it?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the month whose files to compact
--
-- Reads: one partition, that of the tenant and month, and writes it again.
--
-- Not for a table in S3 Tables. S3 Tables compacts the table by itself (icebergCompaction, which `carousel-sync evolve
-- apply` enables), and Athena does not support OPTIMIZE there (Athena User Guide, "Register S3 table bucket catalogs").
-- The statement is for a copy of the table in a general purpose bucket with the Glue Data Catalog.

OPTIMIZE sales_history REWRITE DATA USING BIN_PACK
WHERE tenant_id = :tenant
  AND year = :year
  AND month = :month
