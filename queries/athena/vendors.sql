-- How many vendors sold for the first time in a month, and how many returned?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the month
--
-- Reads: the tenant's partitions up to the month, because a vendor is new if it has no earlier sale.
--
-- A sale without a vendor_id counts for neither.

WITH vendors AS (
  SELECT
    vendor_id,
    min(year * 12 + month) AS first_month,
    count(CASE WHEN year = :year AND month = :month THEN 1 END) AS sales
  FROM sales_history
  WHERE tenant_id = :tenant
    AND year <= :year
    AND (year < :year OR month <= :month)
    AND vendor_id IS NOT NULL
  GROUP BY vendor_id
)

SELECT
  CASE WHEN first_month = :year * 12 + :month THEN 'new' ELSE 'returning' END AS vendor,
  count(*) AS vendors,
  CAST(sum(sales) AS bigint) AS sales
FROM vendors
WHERE sales > 0
GROUP BY CASE WHEN first_month = :year * 12 + :month THEN 'new' ELSE 'returning' END
ORDER BY vendor
