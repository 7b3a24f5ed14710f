-- How does the price of each category develop from week to week?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the last month of the trend, which begins in January of its year
--
-- Reads: the tenant's partitions of the year, up to the month.
--
-- moving_average is the average price of all sales of four weeks: the row's week and the three before it. A week
-- without sales has no row, and still counts as one of the four. Weeks begin on Monday.

WITH weekly AS (
  SELECT
    category,
    currency,
    CAST(date_trunc('week', sold_date) AS date) AS week,
    count(*) AS sales,
    sum(sold_price) AS revenue
  FROM sales_history
  WHERE tenant_id = :tenant
    AND year = :year
    AND month <= :month
  GROUP BY category, currency, CAST(date_trunc('week', sold_date) AS date)
)

SELECT
  category,
  currency,
  week,
  sales,
  CAST(CAST(revenue AS double) / sales AS decimal(18, 2)) AS average_price,
  CAST(CAST(sum(revenue) OVER four_weeks AS double) / sum(sales) OVER four_weeks AS decimal(18, 2)) AS moving_average
FROM weekly
WINDOW four_weeks AS (
  PARTITION BY category, currency
  ORDER BY week
  RANGE BETWEEN INTERVAL '21' DAY PRECEDING AND CURRENT ROW
)
ORDER BY category, currency, week
