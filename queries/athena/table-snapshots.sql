-- How often was the table changed, and when last?
--
-- Parameters: none.
--
-- Reads: metadata only, no partition.
--
-- The operation append adds sales; replace is a compaction. The first row of the result is the newest day, and the
-- earliest first_commit is as far as time travel reaches back.

SELECT
  date(committed_at) AS day,
  operation,
  count(*) AS snapshots,
  CAST(sum(CAST(element_at(summary, 'added-records') AS bigint)) AS bigint) AS rows_added,
  min(committed_at) AS first_commit,
  max(committed_at) AS last_commit
FROM "sales_history$snapshots"
GROUP BY date(committed_at), operation
ORDER BY day DESC, operation
