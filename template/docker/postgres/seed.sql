-- All or nothing: the table, its rows and the line in the ledger appear together, or none of them. Run by seed.sh.
SET client_min_messages = warning;
SET lc_messages = 'C';  -- seed.sh explains them

-- The ledger, in a transaction of its own: whoever asks it does not wait until a table is loaded.
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('dsproj_seed')) \g /dev/null
CREATE TABLE IF NOT EXISTS dsproj_seed (
    table_name text PRIMARY KEY,
    file_name  text NOT NULL,
    sha256     text NOT NULL,       -- of the file
    row_count  bigint NOT NULL,
    synthetic  boolean NOT NULL,    -- true: the made-up sample, because the real file could not be fetched
    seeded_at  timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE dsproj_seed
    ADD COLUMN IF NOT EXISTS sql_sha256 text,   -- of the SQL file
    ADD COLUMN IF NOT EXISTS file_state text,   -- the file's size and time of change
    ADD COLUMN IF NOT EXISTS seconds numeric;   -- that loading took
COMMIT;

BEGIN;
SELECT pg_advisory_xact_lock(hashtext('dsproj_seed')) \g /dev/null

SELECT clock_timestamp() AS started,
       count(*) > 0 AS loaded,
       coalesce(bool_or(synthetic), false) AND NOT :'synthetic'::boolean AS sample_only,
       coalesce(bool_or(sha256 <> :'sha256'), false) AS file_changed,
       coalesce(bool_or(sql_sha256 <> :'sql_sha256'), false) AS sql_changed,
       count(*) > 0 AND NOT (:'mode' = 'force'
           OR (:'mode' = 'replace-sample' AND bool_or(synthetic) AND NOT :'synthetic'::boolean)) AS keep
FROM dsproj_seed WHERE table_name = :'table' \gset

\if :keep
    SELECT format('seed: %s is loaded already: %s rows from data/%s', table_name, row_count, file_name)
    FROM dsproj_seed WHERE table_name = :'table';
    \if :sample_only
        \echo seed: this is the SYNTHETIC SAMPLE; to load the real file that is in data/ now: make dataset
    \elif :file_changed
        \echo 'seed: data/':file 'has changed since; to drop the table and load it anew: make seed TABLE=':table 'FORCE=1'
    \elif :sql_changed
        \echo 'seed: docker/postgres/':sql 'has changed since; to drop the table and load it anew: make seed TABLE=':table 'FORCE=1'
    \else
        UPDATE dsproj_seed SET file_state = :'state', sql_sha256 = :'sql_sha256'
        WHERE table_name = :'table' AND (file_state, sql_sha256) IS DISTINCT FROM (:'state', :'sql_sha256');
    \endif
\else
    \if :loaded
        -- Not CASCADE: what others have built on the table is not ours to drop.
        SET LOCAL lock_timeout = '15s';
        DROP TABLE IF EXISTS :"table";
        SET LOCAL lock_timeout = 0;
        DELETE FROM dsproj_seed WHERE table_name = :'table';
    \endif
    SELECT set_config('dsproj.table', :'table', true), set_config('dsproj.sql', :'sql', true) \g /dev/null
    DO $$ BEGIN
        IF to_regclass(quote_ident(current_setting('dsproj.table'))) IS NOT NULL THEN
            RAISE EXCEPTION 'dsproj: there is a table of this name that no seed has made; it is left as it is (if it may go: make psql, DROP TABLE %)',
                current_setting('dsproj.table');
        END IF;
    END $$;
    \ir :sql
    DO $$ BEGIN
        IF to_regclass(quote_ident(current_setting('dsproj.table'))) IS NULL THEN
            RAISE EXCEPTION 'dsproj: docker/postgres/% makes no table of this name',
                current_setting('dsproj.sql');
        END IF;
    END $$;
    ANALYZE :"table";
    INSERT INTO dsproj_seed (table_name, file_name, sha256, row_count, synthetic, sql_sha256, file_state, seconds)
    SELECT :'table', :'file', :'sha256', count(*), :'synthetic'::boolean, :'sql_sha256', :'state',
           round(extract(epoch FROM clock_timestamp() - :'started'::timestamptz), 3)
    FROM :"table";
    SELECT format('seed: %s: %s rows from data/%s in %s s, %s rows/s', table_name, row_count, file_name,
                  round(seconds, 1), round(row_count / greatest(seconds, 0.001)))
           || CASE WHEN synthetic THEN ' (SYNTHETIC SAMPLE)' ELSE '' END
    FROM dsproj_seed WHERE table_name = :'table';
\endif
COMMIT;
