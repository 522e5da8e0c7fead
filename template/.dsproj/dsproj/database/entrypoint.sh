#!/usr/bin/env bash
# Upstream's entry point takes a data folder for complete as soon as it holds PG_VERSION, which is the first thing that
# initdb writes: killed after that, the volume would stay broken, or open to nobody, for good.
#
# So a note beside the folder says that initialisation has begun, and init.sh, its last step, takes the note away. Only a
# folder that was empty gets one: what is deleted here was never a database that anybody has used.
#
# A folder that is there already learns the password of .env, if that was lost or edited.
set -euo pipefail

if [ "${1:-}" = postgres ]; then
  note=$PGDATA.initialising
  if [ -e "$note" ]; then
    echo "entrypoint: the initialisation of this volume was interrupted; it starts anew" >&2
    [ ! -d "$PGDATA" ] || find "$PGDATA" -mindepth 1 -delete
  elif [ -z "$(ls -A "$PGDATA" 2>/dev/null)" ]; then
    folder=$(dirname "$PGDATA")
    mkdir -p "$folder"
    [ "$(id -u)" != 0 ] || chown postgres: "$folder"
    : >"$note"
    sync "$note" "$folder"
  elif [ -s "$PGDATA/PG_VERSION" ]; then
    as_owner=()
    [ "$(id -u)" != 0 ] || as_owner=(gosu postgres)
    "${as_owner[@]}" python3 -m dsproj.database.password || true # the server itself says what is wrong with the folder
  fi
fi
# A process may have half of the container's memory: a greedy query then gets an error, and not all sessions a kill.
limit=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -n 1) || true
case $limit in *[!0-9]* | "") ;; *) ulimit -d $((limit / 2048)) ;; esac
exec docker-entrypoint.sh "$@"
