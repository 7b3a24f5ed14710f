-- Do products with a higher discount sell faster?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the month of the sales
--
-- Reads: one partition, that of the tenant and month.
--
-- A row is a band of ten percentage points, named after its lower end: 20 stands for discounts from 20 to below 30
-- percent, and -10 for products that were sold for up to 10 percent more than their listed price.

WITH banded AS (
  SELECT
    CAST(floor(discount_percent / 10) AS integer) * 10 AS discount_from,
    days_to_sell
  FROM sales_history
  WHERE tenant_id = :tenant
    AND year = :year
    AND month = :month
    AND discount_percent IS NOT NULL
    AND days_to_sell IS NOT NULL
),

ranked AS (
  SELECT
    discount_from,
    days_to_sell,
    row_number() OVER (PARTITION BY discount_from ORDER BY days_to_sell) AS days_rank,
    count(*) OVER (PARTITION BY discount_from) AS sales
  FROM banded
)

SELECT
  discount_from,
  sales,
  round(avg(days_to_sell), 1) AS average_days_to_sell,
  avg(CASE WHEN 2 * days_rank BETWEEN sales AND sales + 2 THEN days_to_sell END) AS median_days_to_sell
FROM ranked
GROUP BY discount_from, sales
ORDER BY discount_from
