#!/usr/bin/env bash
# Load the data set, once: seed.sql runs initdb.sql in one transaction and notes it in the ledger, the table dsproj_seed.
#
#   seed.sh                  does nothing where the ledger says it is done
#   seed.sh replace-sample   loads the real file where only the synthetic sample is in the table
#   seed.sh force            drops the table and loads it again
#   seed.sh check            is it done? (the health check)
#
# Finds the server by the usual PG* variables, the files in DATA_DIR; the container and the local stack both run it.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./dataset.env
mode=${1:-once}
: "${DATA_DIR:=../../data}"

query() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --set=table="$SEED_TABLE" "$@"; }
fail() { printf 'seed: %s\n' "$@" >&2; exit 1; }

# Asked over TCP: while the volume is being initialised, a temporary server listens on the socket alone.
answers() { pg_isready --quiet --host="${PGHOST:-127.0.0.1}"; }

if [ "$mode" = check ]; then
  answers || fail "the server does not answer yet"
  [ -z "$SEED_TABLE" ] || [ "$(query --file=- <<<"SELECT count(*) FROM dsproj_seed WHERE table_name = :'table'")" = 1 ] ||
    fail "table $SEED_TABLE is not loaded; try: make seed"
  exit 0
fi

if [ -z "$SEED_TABLE" ]; then
  echo "seed: no data set chosen, nothing to load (docker/postgres/dataset.env says how to add one)"
  exit 0
fi

if [ "${SEED_WAIT:-yes}" = yes ]; then
  for _ in $(seq 7200); do answers && break; sleep 0.5; done
  answers || fail "the server did not answer within an hour; its log: make logs"
fi

file=$SEED_FILE synthetic=false
if [ ! -e "$DATA_DIR/$file" ] && [ -n "$SEED_SAMPLE" ] && [ -e "$DATA_DIR/$SEED_SAMPLE" ]; then
  file=$SEED_SAMPLE synthetic=true
fi
[ -e "$DATA_DIR/$file" ] || fail "data/$file is missing; fetch it: make dataset"
[ -r "$DATA_DIR/$file" ] || fail "data/$file may not be read by the server; allow it: chmod a+rx data && chmod a+r data/$file"

sha256=$( (sha256sum "$DATA_DIR/$file" 2>/dev/null || shasum --algorithm 256 "$DATA_DIR/$file") | cut -d ' ' -f 1)
DATA_FILE=$DATA_DIR/$file query --file=seed.sql --set=file="$file" --set=sha256="$sha256" \
  --set=synthetic="$synthetic" --set=mode="$mode"
