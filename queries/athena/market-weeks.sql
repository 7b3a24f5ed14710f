-- How do the prices of all tenants develop from week to week?
--
-- Parameters:
--   :tenant                 its sales are on the side 'own', those of all other tenants on the side 'others'
--   :first_day, :last_day   the period
--
-- Reads: the partitions of every tenant in the years of the period. Files without a sale in the period are skipped.
--
-- Weeks begin on Monday. Quartiles are exact, and an empty currency was not stated: see market-prices,
-- which explains the columns as well.
--
-- Nothing is withheld, so the answer is for those who may read every row. carousel-sync report applies the rules of
-- docs/report.md to it.

WITH sales AS (
  SELECT
    CASE WHEN tenant_id = :tenant THEN 'own' ELSE 'others' END AS side,
    tenant_id,
    coalesce(currency, '') AS currency,
    category,
    CAST(date_trunc('week', sold_date) AS date) AS week,
    sold_price
  FROM sales_history
  WHERE year BETWEEN year(DATE :first_day) AND year(DATE :last_day)
    AND sold_date BETWEEN DATE :first_day AND DATE :last_day
),

by_tenant AS (
  SELECT
    side,
    currency,
    category,
    week,
    tenant_id,
    count(*) AS sales,
    sum(sold_price) AS value,
    array_agg(sold_price) AS prices
  FROM sales
  GROUP BY side, currency, category, week, tenant_id
),

cells AS (
  SELECT
    side,
    currency,
    category,
    week,
    count(*) AS tenants,
    sum(sales) AS sales,
    max(sales) AS top_sales,
    sum(value) AS value,
    max(value) AS top_value,
    array_sort(flatten(array_agg(prices))) AS prices
  FROM by_tenant
  GROUP BY side, currency, category, week
)

SELECT
  side,
  currency,
  category,
  week,
  sales,
  tenants,
  top_sales,
  value,
  top_value,
  element_at(prices, CAST(ceil(0.25 * sales) AS integer)) AS lower_quartile,
  element_at(prices, CAST(ceil(0.5 * sales) AS integer)) AS median_price,
  element_at(prices, CAST(ceil(0.75 * sales) AS integer)) AS upper_quartile
FROM cells
ORDER BY side, currency, category, week
