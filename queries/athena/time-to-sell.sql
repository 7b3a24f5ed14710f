-- What is the median price of each category and brand, and how fast does it sell?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the month of the sales
--   :days           sold within this many days of its listing counts as sold in time
--
-- Reads: one partition, that of the tenant and month.
--
-- The sell-through is the share of sales within :days days, among the sales whose days to sell are known. The table
-- contains sales only: a product that is still listed is not part of it. Medians are exact. (approx_percentile is
-- faster on millions of rows, and approximate.)

WITH ranked AS (
  SELECT
    category,
    brand,
    currency,
    sold_price,
    days_to_sell,
    row_number() OVER (PARTITION BY category, brand, currency ORDER BY sold_price) AS price_rank,
    row_number() OVER (PARTITION BY category, brand, currency ORDER BY days_to_sell NULLS LAST) AS days_rank,
    count(*) OVER (PARTITION BY category, brand, currency) AS sales,
    count(days_to_sell) OVER (PARTITION BY category, brand, currency) AS with_days
  FROM sales_history
  WHERE tenant_id = :tenant
    AND year = :year
    AND month = :month
)

-- Of n values in order, the middle one or the middle two have twice their rank between n and n + 2.
SELECT
  category,
  brand,
  currency,
  sales,
  CAST(avg(CASE WHEN 2 * price_rank BETWEEN sales AND sales + 2 THEN sold_price END) AS decimal(18, 2)) AS median_price,
  avg(CASE WHEN 2 * days_rank BETWEEN with_days AND with_days + 2 THEN days_to_sell END) AS median_days_to_sell,
  round(100 * CAST(count(CASE WHEN days_to_sell <= :days THEN 1 END) AS double) / nullif(with_days, 0), 1)
    AS sell_through_percent
FROM ranked
GROUP BY category, brand, currency, sales, with_days
ORDER BY sales DESC, category, brand, currency
