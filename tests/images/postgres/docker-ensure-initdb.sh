#!/usr/bin/env bash
# Initialize the database and end. Called docker-enforce-initdb.sh, it is an error when there is one already.
set -Eeuo pipefail
# shellcheck source=tests/images/postgres/docker-entrypoint.sh
. /usr/local/bin/docker-entrypoint.sh

if [[ ${1:-} != postgres ]]; then set -- postgres "$@"; fi
docker_setup_env
docker_create_db_directories
if [[ $(id -u) == 0 ]]; then exec gosu postgres "${BASH_SOURCE[0]}" "$@"; fi

if [[ -z $DATABASE_ALREADY_EXISTS ]]; then
	_initialize "$@"
	exit 0
fi
echo "${0##*/}: there is a database in $PGDATA already" >&2
[[ ${0##*/} == docker-ensure-initdb.sh ]]
