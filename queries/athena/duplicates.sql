-- Does any sale have more than one row?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the month of the sales
--
-- Reads: one partition, that of the tenant and month.
--
-- No rows is the answer that the table guarantees. If there are rows: carousel-sync dedupe, and docs/repair.md.

SELECT
  sale_id,
  count(*) AS copies,
  min(ingestion_timestamp) AS first_reported,
  max(ingestion_timestamp) AS last_reported
FROM sales_history
WHERE tenant_id = :tenant
  AND year = :year
  AND month = :month
GROUP BY sale_id
HAVING count(*) > 1
ORDER BY copies DESC, sale_id
