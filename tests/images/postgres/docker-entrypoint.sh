#!/usr/bin/env bash
# Entry point of the postgres:18 stand-in. Behaves as the official image's does; written anew.
#
# The function names, the variables and the two lines "PostgreSQL init process complete; ready for
# start up." and "Skipping initialization" are what scripts built on the official image rely on.
# Like there, this file can be sourced to get at the functions.
set -Eeo pipefail

_say() { printf '%s\n' "$@" >&2; }

# file_env NAME [DEFAULT]: take NAME from the environment, or from the file that NAME_FILE names.
file_env() {
	local name=$1 pointer="$1_FILE" value=${2:-}
	if [[ -n ${!name:-} && -n ${!pointer:-} ]]; then
		_say "error: $name and $pointer are both set; use one of them"
		exit 1
	fi
	if [[ -n ${!name:-} ]]; then
		value=${!name}
	elif [[ -n ${!pointer:-} ]]; then
		value=$(<"${!pointer}")
	fi
	export "$name=$value"
	unset "$pointer"
}

# Read the settings; find out whether there is a database, or an old one in the way.
docker_setup_env() {
	file_env POSTGRES_PASSWORD
	file_env POSTGRES_USER postgres
	file_env POSTGRES_DB "$POSTGRES_USER"
	file_env POSTGRES_INITDB_ARGS
	: "${POSTGRES_HOST_AUTH_METHOD:=}"

	declare -g DATABASE_ALREADY_EXISTS=${DATABASE_ALREADY_EXISTS:-}
	declare -ag OLD_DATABASES=()
	if [[ -s $PGDATA/PG_VERSION ]]; then
		DATABASE_ALREADY_EXISTS=true
		return 0
	fi
	[[ $PGDATA == "/var/lib/postgresql/$PG_MAJOR/docker" ]] || return 0
	local folder
	for folder in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
		if [[ -s $folder/PG_VERSION ]]; then OLD_DATABASES+=("$folder"); fi
	done
	if ((${#OLD_DATABASES[@]} == 0)) && mountpoint -q /var/lib/postgresql/data; then
		OLD_DATABASES+=('/var/lib/postgresql/data (unused mount/volume)')
	fi
}

# Make the folders; as root, give them to postgres.
docker_create_db_directories() {
	mkdir -p "$PGDATA"
	chmod 0700 "$PGDATA" || true # may not be ours to change
	mkdir -p /var/run/postgresql || true
	chmod 3775 /var/run/postgresql || true
	if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
		mkdir -p "$POSTGRES_INITDB_WALDIR"
		chmod 0700 "$POSTGRES_INITDB_WALDIR"
	fi
	if [[ $(id -u) == 0 ]]; then
		local folder
		for folder in "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}; do
			find "$folder" ! -user postgres -exec chown postgres {} +
		done
	fi
}

# A new database needs a password, unless everybody is trusted by request.
docker_verify_minimum_env() {
	if [[ $POSTGRES_HOST_AUTH_METHOD == trust ]]; then
		_say 'WARNING: POSTGRES_HOST_AUTH_METHOD=trust lets anybody who reaches the port in without a password.'
	elif [[ -z $POSTGRES_PASSWORD ]]; then
		_say 'Error: Database is uninitialized and superuser password is not specified.' \
			'       Set POSTGRES_PASSWORD to something that is not empty,' \
			'       or POSTGRES_HOST_AUTH_METHOD=trust to do without (not recommended).'
		exit 1
	fi
}

# From 18 on the volume belongs at /var/lib/postgresql: refuse to start beside an older layout.
docker_error_old_databases() {
	((${#OLD_DATABASES[@]})) || return 0
	_say 'Error: in 18+ the data live in a folder named after the major version,' \
		'       below ONE volume mounted at /var/lib/postgresql.' \
		'       But something older is mounted or stored at:' \
		"         ${OLD_DATABASES[*]}" \
		'       Mount the volume at /var/lib/postgresql, and bring old data over with pg_upgrade.'
	exit 1
}

docker_init_database_dir() {
	# initdb wants to know its user's name: lend one to a uid that has none.
	local lent='' library
	if ! getent passwd "$(id -u)" >/dev/null; then
		for library in /usr/lib/*/libnss_wrapper.so /usr/lib/libnss_wrapper.so; do
			[[ -s $library ]] || continue
			lent=$(mktemp -d)
			printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" >"$lent/passwd"
			printf 'postgres:x:%s:\n' "$(id -g)" >"$lent/group"
			export LD_PRELOAD=$library NSS_WRAPPER_PASSWD=$lent/passwd NSS_WRAPPER_GROUP=$lent/group
			break
		done
	fi

	[[ -z ${POSTGRES_INITDB_WALDIR:-} ]] || set -- --waldir "$POSTGRES_INITDB_WALDIR" "$@"
	# POSTGRES_INITDB_ARGS is shell text and may hold quotes, hence eval.
	# A file with nothing in it at all is refused, hence the newline.
	eval "set -- $POSTGRES_INITDB_ARGS"' "$@"'
	initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "$@"

	if [[ -n $lent ]]; then
		unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
		rm -rf "$lent"
	fi
}

# Other hosts get in with the method asked for, or the one passwords are stored in.
pg_setup_hba_conf() {
	if [[ ${1:-} == postgres ]]; then shift; fi
	local stored
	stored=$(postgres -C password_encryption "$@")
	: "${POSTGRES_HOST_AUTH_METHOD:=$stored}"
	printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
}

# A server for the initialization: on the unix socket only.
docker_temp_server_start() {
	if [[ ${1:-} == postgres ]]; then shift; fi
	local options
	options=$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")
	NOTIFY_SOCKET='' PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -o "$options" -w start
}

docker_temp_server_stop() {
	PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
}

# docker_process_sql [psql arguments]: SQL from -f or standard input; the first error ends it.
docker_process_sql() {
	local database=()
	if [[ -n $POSTGRES_DB ]]; then database=(--dbname "$POSTGRES_DB"); fi
	PGHOST='' PGHOSTADDR='' psql --no-psqlrc --no-password --set ON_ERROR_STOP=1 \
		--username "$POSTGRES_USER" "${database[@]}" "$@"
}

docker_setup_db() {
	local there # the last --dbname counts
	there=$(docker_process_sql --dbname postgres --set name="$POSTGRES_DB" -At \
		<<<"SELECT true FROM pg_database WHERE datname = :'name';")
	if [[ -z $there ]]; then
		docker_process_sql --dbname postgres --set name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
	fi
}

# docker_process_init_files FILE...: the kind of file decides; what fails ends the container.
docker_process_init_files() {
	# shellcheck disable=SC2034
	psql=(docker_process_sql) # older scripts call "${psql[@]}"
	local f
	for f; do
		case $f in
		*.sh)
			if [[ -x $f ]]; then
				echo "$0: running $f"
				"$f"
			else
				echo "$0: sourcing $f"
				# shellcheck disable=SC1090
				. "$f"
			fi
			;;
		*.sql) echo "$0: running $f" && docker_process_sql -f "$f" ;;
		*.sql.gz) echo "$0: running $f" && gunzip -c "$f" | docker_process_sql ;;
		*.sql.xz) echo "$0: running $f" && xzcat "$f" | docker_process_sql ;;
		*.sql.zst) echo "$0: running $f" && zstd -dc "$f" | docker_process_sql ;;
		*) echo "$0: ignoring $f" ;;
		esac
		echo
	done
}

# Everything from an empty folder to a database that was seeded.
_initialize() {
	docker_verify_minimum_env
	docker_error_old_databases
	ls /docker-entrypoint-initdb.d/ >/dev/null # unreadable: fail now rather than half way
	docker_init_database_dir
	pg_setup_hba_conf "$@"
	export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
	docker_temp_server_start "$@"
	docker_setup_db
	docker_process_init_files /docker-entrypoint-initdb.d/*
	docker_temp_server_stop
	unset PGPASSWORD
}

# Do the arguments ask for something that postgres prints and ends with?
_pg_want_help() {
	local argument
	for argument; do
		case $argument in '-?' | --help | --describe-config | -V | --version) return 0 ;; esac
	done
	return 1
}

_main() {
	if [[ ${1:-} == -* ]]; then set -- postgres "$@"; fi
	if [[ ${1:-} == postgres ]] && ! _pg_want_help "$@"; then
		docker_setup_env
		docker_create_db_directories
		if [[ $(id -u) == 0 ]]; then exec gosu postgres "${BASH_SOURCE[0]}" "$@"; fi
		if [[ -n $DATABASE_ALREADY_EXISTS ]]; then
			printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
		else
			_initialize "$@"
			printf '\nPostgreSQL init process complete; ready for start up.\n\n'
		fi
	fi
	exec "$@"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then _main "$@"; fi
