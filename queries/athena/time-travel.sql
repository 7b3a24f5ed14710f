-- Which sales were added since a point in time?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the month of the sales
--   :as_of          the earlier point in time, in UTC
--
-- Reads: one partition, that of the tenant and month, as it is and as it was.
--
-- Time travel reaches back only as far as snapshots are kept (table-snapshots shows it).

WITH earlier AS (
  SELECT category, brand, count(*) AS sales
  FROM sales_history FOR TIMESTAMP AS OF TIMESTAMP :as_of
  WHERE tenant_id = :tenant
    AND year = :year
    AND month = :month
  GROUP BY category, brand
),

latest AS (
  SELECT category, brand, count(*) AS sales
  FROM sales_history
  WHERE tenant_id = :tenant
    AND year = :year
    AND month = :month
  GROUP BY category, brand
)

SELECT
  latest.category,
  latest.brand,
  coalesce(earlier.sales, 0) AS sales_then,
  latest.sales AS sales_now,
  latest.sales - coalesce(earlier.sales, 0) AS added
FROM latest
LEFT JOIN earlier
  ON latest.category = earlier.category
  AND latest.brand = earlier.brand
ORDER BY added DESC, latest.category, latest.brand
