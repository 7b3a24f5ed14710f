-- How are old snapshots and unreferenced files removed, where S3 Tables does not do it?
--
-- Parameters: none.
--
-- Reads: metadata only, no partition. Deletes files.
--
-- Not for a table in S3 Tables. S3 Tables removes old snapshots and unreferenced files by itself
-- (icebergSnapshotManagement and the bucket's UnreferencedFileRemoval), and Athena does not support VACUUM there (Athena
-- User Guide, "Register S3 table bucket catalogs"). The statement is for a copy of the table in a general purpose bucket
-- with the Glue Data Catalog. There, the table property vacuum_max_snapshot_age_seconds decides which snapshots stay.

VACUUM sales_history
