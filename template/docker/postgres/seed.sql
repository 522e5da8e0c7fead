-- All or nothing: the table, its rows and the line in the ledger appear together, or none of them. Run by seed.sh.
SET client_min_messages = warning;
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('dsproj_seed')) \g /dev/null

CREATE TABLE IF NOT EXISTS dsproj_seed (
    table_name text PRIMARY KEY,
    file_name  text NOT NULL,
    sha256     text NOT NULL,
    row_count  bigint NOT NULL,
    synthetic  boolean NOT NULL,    -- true: the made-up sample, because the real file could not be fetched
    seeded_at  timestamptz NOT NULL DEFAULT now()
);

SELECT count(*) > 0 AS loaded,
       coalesce(bool_or(synthetic), false) AND NOT :'synthetic'::boolean AS sample_only,
       coalesce(bool_or(sha256 <> :'sha256'), false) AS changed,
       count(*) > 0 AND NOT (:'mode' = 'force'
           OR (:'mode' = 'replace-sample' AND bool_or(synthetic) AND NOT :'synthetic'::boolean)) AS keep
FROM dsproj_seed WHERE table_name = :'table' \gset

\if :keep
    SELECT format('seed: %s is loaded already: %s rows from data/%s', table_name, row_count, file_name)
    FROM dsproj_seed WHERE table_name = :'table';
    \if :sample_only
        \echo seed: this is the SYNTHETIC SAMPLE; to load the real file that is in data/ now: make dataset
    \elif :changed
        \echo seed: the file in data/ has changed since; to drop the table and load it anew: make seed FORCE=1
    \endif
\else
    \if :loaded
        DROP TABLE IF EXISTS :"table";
        DELETE FROM dsproj_seed WHERE table_name = :'table';
    \endif
    \ir initdb.sql
    INSERT INTO dsproj_seed (table_name, file_name, sha256, row_count, synthetic)
    SELECT :'table', :'file', :'sha256', count(*), :'synthetic'::boolean FROM :"table";
    SELECT format('seed: %s: %s rows from data/%s', table_name, row_count, file_name)
           || CASE WHEN synthetic THEN ' (SYNTHETIC SAMPLE)' ELSE '' END
    FROM dsproj_seed WHERE table_name = :'table';
\endif
COMMIT;
