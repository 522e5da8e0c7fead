#!/usr/bin/env bash
# Entry point of the mongo:8.0 stand-in. Behaves as the official image's does, as far as a server without
# JavaScript can; written anew.
set -Eeuo pipefail

if [[ ${1:-} == -* ]]; then set -- mongod "$@"; fi

if [[ ${1:-} == mongo* && $(id -u) == 0 ]]; then
	if [[ $1 == mongod ]]; then find -L /data/configdb /data/db ! -user mongodb -exec chown mongodb {} +; fi
	exec gosu mongodb "${BASH_SOURCE[0]}" "$@"
fi

fail() {
	printf '\nerror: %s\n\n' "$*" >&2
	exit 1
}

# from_file NAME: take NAME from the environment, or from the file that NAME_FILE names.
from_file() {
	local name=$1 pointer="$1_FILE"
	if [[ -n ${!name:-} && -n ${!pointer:-} ]]; then fail "$name and $pointer are both set; use one of them"; fi
	if [[ -n ${!pointer:-} ]]; then printf -v "$name" %s "$(<"${!pointer}")"; fi
	export "$name=${!name:-}"
	unset "$pointer"
}

value_of() { # --option ARGUMENT...: its value
	local option=$1
	shift
	while (($#)); do
		case $1 in
		"$option") printf %s "${2:-}" && return ;;
		"$option"=*) printf %s "${1#*=}" && return ;;
		esac
		shift
	done
}

initialize() { # the arguments of mongod: on this host only, without --auth
	local argument skip='' arguments=() f tries
	for argument; do
		if [[ -n $skip ]]; then skip='' && continue; fi
		case $argument in
		--auth | --bind_ip_all | --bind_ip=* | --port=*) ;;
		--bind_ip | --port) skip=1 ;;
		*) arguments+=("$argument") ;;
		esac
	done
	"${arguments[@]}" --bind_ip 127.0.0.1 --port 27017 &
	for ((tries = 60; ; tries--)); do
		kill -0 $! 2>/dev/null || fail 'mongod did not stay up'
		if mongosh --quiet --eval 'quit(0)' 2>/dev/null; then break; fi
		((tries)) || fail 'mongod does not answer'
		sleep 0.2
	done

	if [[ -n $MONGO_INITDB_ROOT_USERNAME ]]; then
		/opt/mongo/bin/python - <<-'PYTHON'
			import os
			import pymongo

			pymongo.MongoClient("127.0.0.1", 27017, directConnection=True).admin.command(
			    "createUser",
			    os.environ["MONGO_INITDB_ROOT_USERNAME"],
			    pwd=os.environ["MONGO_INITDB_ROOT_PASSWORD"],
			    roles=[{"role": "root", "db": "admin"}],
			)
		PYTHON
	fi

	export MONGO_INITDB_DATABASE=${MONGO_INITDB_DATABASE:-test}
	for f in /docker-entrypoint-initdb.d/*; do
		case $f in
		*.sh)
			echo "$0: running $f"
			# shellcheck disable=SC1090
			. "$f"
			;;
		*.js) fail "$f: the stand-in for MongoDB has no JavaScript" ;;
		*) echo "$0: ignoring $f" ;;
		esac
	done

	kill $!
	wait $! || fail 'mongod did not stop well'
	printf '\nMongoDB init process complete; ready for start up.\n\n'
}

if [[ ${1:-} == mongod ]]; then
	from_file MONGO_INITDB_ROOT_USERNAME
	from_file MONGO_INITDB_ROOT_PASSWORD
	needed=''
	if [[ -n $MONGO_INITDB_ROOT_USERNAME && -n $MONGO_INITDB_ROOT_PASSWORD ]]; then
		needed=1
		if [[ " $* " != *' --auth '* ]]; then set -- "$@" --auth; fi
	elif [[ -n $MONGO_INITDB_ROOT_USERNAME$MONGO_INITDB_ROOT_PASSWORD ]]; then
		fail 'set both MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD, or none'
	elif compgen -G '/docker-entrypoint-initdb.d/*.[sj]*' >/dev/null; then
		needed=1
	fi
	folder=$(value_of --dbpath "$@")
	if [[ -n $needed && ! -e ${folder:-/data/db}/WiredTiger ]]; then initialize "$@"; fi
	if [[ " $* " != *' --bind_ip'* ]]; then set -- "$@" --bind_ip_all; fi
	unset "${!MONGO_INITDB_@}"
fi

exec "$@"
