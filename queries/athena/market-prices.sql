-- What do the categories and brands of all tenants sell for, and how fast do they sell?
--
-- Parameters:
--   :tenant                 its sales are on the side 'own', those of all other tenants on the side 'others'
--   :first_day, :last_day   the period
--
-- Reads: the partitions of every tenant in the years of the period. Files without a sale in the period are skipped.
--
-- A row without a brand stands for all brands of the category, one without a category for all sales in the currency.
-- tenants, top_sales and top_value show whose sales a row comes from: how many tenants, and the sales and the value of
-- the tenant that has most of them. The columns with "timed" show the same of the sales that state their days to sell.
-- within_30 counts the sales that were sold within 30 days of their listing.
--
-- Quartiles are exact: of n prices in ascending order, the first quartile is number n/4, rounded up. Each is therefore
-- the price of a sale. (approx_percentile is faster on millions of rows, and approximate.) An empty currency was not
-- stated.
--
-- Nothing is withheld, so the answer is for those who may read every row. carousel-sync report applies the rules of
-- docs/report.md to it.

WITH sales AS (
  SELECT
    CASE WHEN tenant_id = :tenant THEN 'own' ELSE 'others' END AS side,
    tenant_id,
    coalesce(currency, '') AS currency,
    category,
    brand,
    sold_price,
    days_to_sell
  FROM sales_history
  WHERE year BETWEEN year(DATE :first_day) AND year(DATE :last_day)
    AND sold_date BETWEEN DATE :first_day AND DATE :last_day
),

by_tenant AS (
  SELECT
    side,
    currency,
    category,
    brand,
    tenant_id,
    count(*) AS sales,
    sum(sold_price) AS value,
    array_agg(sold_price) AS prices,
    count(days_to_sell) AS timed,
    sum(CASE WHEN days_to_sell IS NOT NULL THEN sold_price END) AS timed_value,
    count(CASE WHEN days_to_sell <= 7 THEN 1 END) AS within_7,
    count(CASE WHEN days_to_sell <= 14 THEN 1 END) AS within_14,
    count(CASE WHEN days_to_sell <= 30 THEN 1 END) AS within_30,
    count(CASE WHEN days_to_sell <= 60 THEN 1 END) AS within_60,
    count(CASE WHEN days_to_sell <= 90 THEN 1 END) AS within_90,
    array_agg(days_to_sell) FILTER (WHERE days_to_sell IS NOT NULL) AS days
  FROM sales
  GROUP BY GROUPING SETS (
    (side, currency, tenant_id),
    (side, currency, category, tenant_id),
    (side, currency, category, brand, tenant_id)
  )
),

cells AS (
  SELECT
    side,
    currency,
    category,
    brand,
    count(*) AS tenants,
    sum(sales) AS sales,
    max(sales) AS top_sales,
    sum(value) AS value,
    max(value) AS top_value,
    array_sort(flatten(array_agg(prices))) AS prices,
    sum(timed) AS timed,
    count(CASE WHEN timed > 0 THEN 1 END) AS timed_tenants,
    max(timed) AS top_timed,
    sum(timed_value) AS timed_value,
    max(timed_value) AS top_timed_value,
    sum(within_7) AS within_7,
    sum(within_14) AS within_14,
    sum(within_30) AS within_30,
    sum(within_60) AS within_60,
    sum(within_90) AS within_90,
    array_sort(flatten(array_agg(days))) AS days
  FROM by_tenant
  GROUP BY side, currency, category, brand
)

SELECT
  side,
  currency,
  category,
  brand,
  sales,
  tenants,
  top_sales,
  value,
  top_value,
  element_at(prices, CAST(ceil(0.25 * sales) AS integer)) AS lower_quartile,
  element_at(prices, CAST(ceil(0.5 * sales) AS integer)) AS median_price,
  element_at(prices, CAST(ceil(0.75 * sales) AS integer)) AS upper_quartile,
  timed,
  timed_tenants,
  top_timed,
  timed_value,
  top_timed_value,
  element_at(days, CAST(ceil(0.5 * nullif(timed, 0)) AS integer)) AS median_days,
  within_7,
  within_14,
  within_30,
  within_60,
  within_90
FROM cells
ORDER BY side, currency, category, brand
