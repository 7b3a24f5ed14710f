-- What is the average price of each category and brand?
--
-- Parameters:
--   :tenant         the tenant
--   :year, :month   the month of the sales
--
-- Reads: one partition, that of the tenant and month.
--
-- Prices in different currencies are not added up: each currency has its own row. NULL is a currency that the event
-- did not state.

SELECT
  category,
  brand,
  currency,
  CAST(avg(sold_price) AS decimal(18, 2)) AS average_price,
  count(*) AS sales
FROM sales_history
WHERE tenant_id = :tenant
  AND year = :year
  AND month = :month
GROUP BY category, brand, currency
ORDER BY average_price DESC, category, brand, currency
