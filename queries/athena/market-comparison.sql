-- How do a tenant's prices compare with the prices of the other tenants?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the month of the sales
--   :k              the market's price is withheld unless at least this many other tenants sold in the category
--
-- Reads: the month's partition of every tenant.
--
-- Withheld prices are NULL: with fewer tenants, the average would tell what one of them charges. This protects a
-- report that a tenant receives. Who runs the query can read every row anyway.

WITH own AS (
  SELECT category, currency, count(*) AS sales, avg(CAST(sold_price AS double)) AS price
  FROM sales_history
  WHERE tenant_id = :tenant
    AND year = :year
    AND month = :month
  GROUP BY category, currency
),

market AS (
  SELECT category, currency, avg(CAST(sold_price AS double)) AS price
  FROM sales_history
  WHERE tenant_id <> :tenant
    AND year = :year
    AND month = :month
  GROUP BY category, currency
  HAVING count(DISTINCT tenant_id) >= :k
)

SELECT
  own.category,
  own.currency,
  own.sales,
  CAST(own.price AS decimal(18, 2)) AS average_price,
  CAST(market.price AS decimal(18, 2)) AS market_price,
  round(100 * (own.price / nullif(market.price, 0) - 1), 1) AS difference_percent
FROM own
LEFT JOIN market
  ON own.category = market.category
  AND own.currency IS NOT DISTINCT FROM market.currency
ORDER BY own.category, own.currency
