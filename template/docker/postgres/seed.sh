#!/usr/bin/env bash
# Load the data sets, each once: seed.sql runs a data set's SQL file in one transaction and notes it in the ledger, the
# table dsproj_seed. The first data set is dataset.env with initdb.sql, further ones are datasets/*.env with *.sql.
#
#   seed.sh [once] [TABLE]           loads what the ledger does not have
#   seed.sh replace-sample [TABLE]   the same, and the real file where only the synthetic sample is in the table
#   seed.sh force [TABLE]            drops the table and loads it again (TABLE may be left out where there is one data set)
#   seed.sh missing                  prints the tables that cannot be loaded yet: no data file, or no SQL file
#   seed.sh vacant TABLE             may a new data set have this table name?
#   seed.sh check                    is everything loaded? (the health check)
#
# Finds the server by the usual PG* variables, the files in DATA_DIR; the container and the local stack both run it.
set -euo pipefail
cd "$(dirname "$0")"
mode=${1:-once} wanted=${2:-}
: "${DATA_DIR:=../../data}"
export PGCLIENTENCODING=UTF8  # of the SQL files and of what get_data.sh prints, whatever the shell's language

query() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"; }
fail() { for line; do [ -z "$line" ] || printf 'seed: %s\n' "$line"; done >&2; exit 1; }

# Asked over TCP: while the volume is being initialised, a temporary server listens on the socket alone.
answers() { pg_isready --quiet --host="${PGHOST:-127.0.0.1}"; }

# What an .env file says, as the variables SEED_*; sql is the file beside it.
read_set() {
  SEED_TABLE='' SEED_FILE='' SEED_SAMPLE=''
  [ -r "$1" ] || fail "docker/postgres/$1 may not be read by the server; allow it: chmod -R a+rX docker/postgres/datasets"
  # shellcheck source=/dev/null
  . "./$1" || fail "docker/postgres/$1 is no valid file of settings"
  sql=${1%.env}.sql
  [ "$1" != dataset.env ] || sql=initdb.sql
}

# The .env files of all data sets, or of the wanted one.
sets() {
  local file
  for file in dataset.env datasets/*.env; do
    [ -e "$file" ] || continue
    (read_set "$file" && [ -n "$SEED_TABLE" ] && [ "${1:-$SEED_TABLE}" = "$SEED_TABLE" ]) || continue
    printf '%s\n' "$file"
  done
}

tables() { local file; for file in $(sets); do (read_set "$file" && printf '%s\n' "$SEED_TABLE"); done; }
loaded() { query --command="SELECT table_name FROM dsproj_seed" 2>/dev/null || true; }
contains() { printf '%s\n' "$1" | grep -Fqx -e "$2"; }

# A file with nothing but comments is a placeholder.
is_written() { grep -Eqv '^[[:space:]]*(--.*)?$' "$1" 2>/dev/null; }

sha256() { (sha256sum "$1" 2>/dev/null || shasum --algorithm 256 "$1") | cut -d ' ' -f 1; }
size_and_time() { stat -c '%s %Y' "$1" 2>/dev/null || stat -f '%z %m' "$1"; }

# What psql said on failing, for people: what is wrong, where, and what to do.
explain() {
  local said=$1 again=$2 kept=$3 error context detail place
  error=$(sed -n 's/^psql:[^:]*:[0-9]*: \(ERROR\|FATAL\|error\): *//p' <<<"$said" | head -n 1)
  place=$(sed -n 's/^psql:\([^:]*\):\([0-9]*\): .*/\1, line \2/p' <<<"$said" | head -n 1)
  context=$(sed -n 's/^CONTEXT:  //p' <<<"$said" | head -n 1)
  detail=$(sed -n '/^DETAIL:  /,/^[A-Z]*:  /{s/^DETAIL:  //;/^[A-Z]*:  /d;p;}' <<<"$said")
  case $error in
  *'child process exited'*)
    # The program that feeds COPY has said why.
    fail "$SEED_TABLE: data/$file: $(grep -Ev '^psql:' <<<"$said" || echo "$error")" "$kept Once mended: $again" ;;
  '' | *'connection to server was lost'* | *'terminating connection'* | *'recovery mode'*)
    fail "$SEED_TABLE: the server or psql was ended; $kept" "again: make up" ;;
  *'No space left on device'*)
    fail "$SEED_TABLE: the database's disk is full; $kept" "make room, then: $again" ;;
  *'lock timeout'*)
    fail "$SEED_TABLE: another session uses the table; $kept" "end it (a notebook's kernel, a psql), then: $again" ;;
  *'cannot drop table'*)
    fail "$SEED_TABLE: other objects depend on the table; $kept" "$detail" \
      "keep their definitions, drop them (make psql), then: $again" ;;
  'dsproj: '*)
    fail "$SEED_TABLE: ${error#dsproj: }; $kept" "once that is mended: $again" ;;
  esac
  if [[ $context =~ ^COPY\ [^,]*,\ line\ ([0-9]+)(, column ([^:]+))?(:\ (.*))?$ ]]; then
    local skipped  # COPY counts from the first line that it is given
    skipped=$(sed -n 's/^\\copy .* --skip \([0-9]*\).*/\1/p' "$sql" | head -n 1)
    local line=$((BASH_REMATCH[1] + ${skipped:-0})) column=${BASH_REMATCH[3]} value=${BASH_REMATCH[5]:0:300}
    fail "$SEED_TABLE: data/$file, line $line${column:+, column $column, value $value}: ${error%%: "$value"}" \
      ${value:+"$([ -n "$column" ] || echo "the row: $value")"} \
      "$kept Mend that row, or the column's type in docker/postgres/$sql, then: $again"
  fi
  fail "$SEED_TABLE: docker/postgres/$place: $error" ${detail:+"$detail"} "$kept Once mended: $again"
}

# Load the data set of one .env file. In a subshell; every command says by itself what became of it.
load() (
  read_set "$1"
  again="make seed TABLE=$SEED_TABLE" kept="nothing was loaded."
  [ "$mode" != force ] || again="$again FORCE=1" kept="nothing was changed."
  is_loaded=false
  ! contains "$(loaded)" "$SEED_TABLE" || is_loaded=true
  file=$SEED_FILE synthetic=false
  if [ ! -e "$DATA_DIR/$file" ] && [ -n "$SEED_SAMPLE" ] && [ -e "$DATA_DIR/$SEED_SAMPLE" ]; then
    file=$SEED_SAMPLE synthetic=true
  fi
  if [ "$is_loaded" = true ] && [ "$mode" != force ] && [ ! -e "$DATA_DIR/$file" ]; then
    echo "seed: $SEED_TABLE is loaded already (its file is no longer in data/)"
    exit 0
  fi
  [ -n "$file" ] || fail "$SEED_TABLE: docker/postgres/$1 names no SEED_FILE"
  [ -e "$DATA_DIR/$file" ] || fail "$SEED_TABLE: data/$file is missing; fetch it: make dataset"
  [ -r "$DATA_DIR/$file" ] ||
    fail "$SEED_TABLE: data/$file may not be read by the server; allow it: chmod a+rx data && chmod a+r data/$file"
  is_written "$sql" || fail "$SEED_TABLE: docker/postgres/$sql is not written yet; to have it written: make dataset"

  # A file of the size and time that the ledger has is not read again to learn its checksum.
  state=$(size_and_time "$DATA_DIR/$file") || fail "data/$file cannot be looked at"
  sha256=$(query --set=table="$SEED_TABLE" --set=state="$state" --set=file="$file" --file=- 2>/dev/null <<<"
    SELECT sha256 FROM dsproj_seed WHERE table_name = :'table' AND file_state = :'state' AND file_name = :'file'") || true
  [ -n "$sha256" ] || sha256=$(sha256 "$DATA_DIR/$file") || fail "data/$file cannot be read"
  export DATA_FILE=$DATA_DIR/$file
  { said=$(query --file=seed.sql --set=table="$SEED_TABLE" --set=sql="$sql" --set=sql_sha256="$(sha256 "$sql")" \
    --set=file="$file" --set=sha256="$sha256" --set=state="$state" --set=synthetic="$synthetic" \
    --set=mode="$mode" 2>&1 >&3); } 3>&1 || explain "$said" "$again" "$kept"
  [ -z "$said" ] || printf '%s\n' "$said" >&2
)

case $mode in
once | replace-sample | force | missing | vacant) ;;
check)
  answers || fail "the server does not answer yet"
  done=$(loaded)
  for table in $(tables); do
    contains "$done" "$table" || fail "table $table is not loaded; try: make seed TABLE=$table"
  done
  exit 0 ;;
*) fail "what is \"$mode\"? There are: once, replace-sample, force, missing, vacant, check" ;;
esac

if [ "${SEED_WAIT:-yes}" = yes ]; then
  tries=0
  until answers; do
    [ $((tries += 1)) -le 7200 ] || fail "the server did not answer within an hour; its log: make logs S=this_postgres"
    sleep 0.5
  done
fi

case $mode in
missing)
  done=$(loaded)
  for env in $(sets); do
    (
      read_set "$env"
      ! contains "$done" "$SEED_TABLE" || exit 0
      is_written "$sql" && { [ -e "$DATA_DIR/$SEED_FILE" ] || [ -e "$DATA_DIR/${SEED_SAMPLE:-no sample}" ]; } ||
        printf '%s\n' "$SEED_TABLE"
    )
  done
  exit 0 ;;
vacant)
  taken=$(query --set=table="$wanted" --file=- <<<"
    SELECT CASE WHEN EXISTS (SELECT FROM pg_get_keywords() WHERE word = :'table' AND catcode IN ('R', 'T'))
                  OR :'table' = 'dsproj_seed' THEN 'is a reserved word'
                WHEN to_regclass(quote_ident(:'table')) IS NOT NULL THEN 'is the name of a table that is there already'
           END")
  [ -z "$taken" ] || fail "$wanted $taken; choose another: make dataset SOURCE=… TABLE=${wanted:0:50}_data"
  exit 0 ;;
esac

files=$(sets ${wanted:+"$wanted"})
if [ -z "$files" ]; then
  [ -z "$wanted" ] || fail "no data set makes a table $wanted; there are: $(tables | tr '\n' ' ')"
  echo "seed: no data set chosen, nothing to load; to add one: make dataset SOURCE=<path or link>"
  exit 0
fi
if [ "$mode" = force ] && [ "$(wc -l <<<"$files")" -gt 1 ]; then
  fail "which one? Give one of: $(tables | sed 's/.*/make seed TABLE=& FORCE=1/' | paste -s -d ';' - | sed 's/;/; /g')"
fi
failed=0
for env in $files; do load "$env" || failed=1; done
exit $failed
