#!/usr/bin/env bash
# Upstream's entry point gives the server its password when the volume is new. A volume that is there already learns the
# password of .env, if that was lost or edited: from a server that only this container reaches. A digest is noted.
set -euo pipefail

note=/data/db/dsproj.password
if [ -e /data/db/WiredTiger ]; then
  salt=$(cut -d: -f1 "$note" 2>/dev/null || od -An -N8 -tx8 /dev/urandom | tr -d ' ')
  digest=$salt:$(printf %s "$salt$MONGO_INITDB_ROOT_PASSWORD" | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$note" 2>/dev/null)" != "$digest" ]; then
    gosu mongodb mongod --bind_ip 127.0.0.1 --port 27018 &
    until mongosh --quiet --port 27018 --eval 'quit(0)' 2>/dev/null; do
      kill -0 $! # else it has ended, and its log says why
      sleep 0.3
    done
    change='db.getSiblingDB("admin").changeUserPassword("root", process.env.MONGO_INITDB_ROOT_PASSWORD)'
    if mongosh --quiet --port 27018 --eval "$change"; then (umask 077 && echo "$digest" >"$note"); fi
    kill $!
    wait $! || true
  fi
fi
exec docker-entrypoint.sh "$@"
