-- Do products with a higher discount sell faster, in all tenants?
--
-- Parameters:
--   :tenant                 its sales are on the side 'own', those of all other tenants on the side 'others'
--   :first_day, :last_day   the period
--
-- Reads: the partitions of every tenant in the years of the period. Files without a sale in the period are skipped.
--
-- A row is a band of ten percentage points, named after its lower end: 20 stands for discounts from 20 to below 30
-- percent. -10 stands for all products that were sold for more than their listed price. Only sales that state their days
-- to sell are counted. market-prices explains the columns.
--
-- Nothing is withheld, so the answer is for those who may read every row. carousel-sync report applies the rules of
-- docs/report.md to it.

WITH sales AS (
  SELECT
    CASE WHEN tenant_id = :tenant THEN 'own' ELSE 'others' END AS side,
    tenant_id,
    coalesce(currency, '') AS currency,
    greatest(-10, CAST(floor(discount_percent / 10) AS integer) * 10) AS discount_from,
    sold_price,
    days_to_sell
  FROM sales_history
  WHERE year BETWEEN year(DATE :first_day) AND year(DATE :last_day)
    AND sold_date BETWEEN DATE :first_day AND DATE :last_day
    AND discount_percent IS NOT NULL
    AND days_to_sell IS NOT NULL
),

by_tenant AS (
  SELECT
    side,
    currency,
    discount_from,
    tenant_id,
    count(*) AS sales,
    sum(sold_price) AS value,
    count(CASE WHEN days_to_sell <= 30 THEN 1 END) AS within_30,
    array_agg(days_to_sell) AS days
  FROM sales
  GROUP BY side, currency, discount_from, tenant_id
),

cells AS (
  SELECT
    side,
    currency,
    discount_from,
    count(*) AS tenants,
    sum(sales) AS sales,
    max(sales) AS top_sales,
    sum(value) AS value,
    max(value) AS top_value,
    sum(within_30) AS within_30,
    array_sort(flatten(array_agg(days))) AS days
  FROM by_tenant
  GROUP BY side, currency, discount_from
)

SELECT
  side,
  currency,
  discount_from,
  sales,
  tenants,
  top_sales,
  value,
  top_value,
  element_at(days, CAST(ceil(0.5 * sales) AS integer)) AS median_days,
  within_30
FROM cells
ORDER BY side, currency, discount_from
