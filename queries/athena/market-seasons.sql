-- How do the prices of all tenants, and the time to sell, differ between seasons?
--
-- Parameters:
--   :tenant                 its sales are on the side 'own', those of all other tenants on the side 'others'
--   :first_day, :last_day   the period
--
-- Reads: the partitions of every tenant in the years of the period. Files without a sale in the period are skipped.
--
-- Seasons are the quarters of the calendar year. Quartiles are exact, and an empty currency was not stated: see market-prices,
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
    concat(CAST(year AS varchar), ' ', season) AS season,
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
    season,
    tenant_id,
    count(*) AS sales,
    sum(sold_price) AS value,
    array_agg(sold_price) AS prices,
    count(days_to_sell) AS timed,
    sum(CASE WHEN days_to_sell IS NOT NULL THEN sold_price END) AS timed_value,
    count(CASE WHEN days_to_sell <= 30 THEN 1 END) AS within_30,
    array_agg(days_to_sell) FILTER (WHERE days_to_sell IS NOT NULL) AS days
  FROM sales
  GROUP BY side, currency, category, season, tenant_id
),

cells AS (
  SELECT
    side,
    currency,
    category,
    season,
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
    sum(within_30) AS within_30,
    array_sort(flatten(array_agg(days))) AS days
  FROM by_tenant
  GROUP BY side, currency, category, season
)

SELECT
  side,
  currency,
  category,
  season,
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
  within_30
FROM cells
ORDER BY side, currency, category, season
