#!/bin/sh
# Entry point of the redis:8 stand-in. Behaves as the official image's does; written anew.
# SKIP_DROP_PRIVS and SKIP_FIX_PERMS are upstream's switches. The modules that upstream loads are not here.
set -e

as_redis='setpriv --reuid redis --regid redis --clear-groups'

# give MODE PATH...: let user redis have these paths, where it cannot read (r) or also write (rw) them.
give() {
	mode=$1
	shift
	for path; do
		if $as_redis test -r "$path" && { [ "$mode" = r ] || $as_redis test -w "$path"; }; then continue; fi
		if [ -d "$path" ]; then bits=${mode}x; else bits=$mode; fi
		{ chown redis "$path" && chmod "u+$bits" "$path"; } || echo "Warning: user redis may not be able to use '$path'."
	done
}

# is_alone FOLDER FIND_TEST...: is there nothing in the folder but what the tests match?
is_alone() {
	folder=$1
	shift
	[ -z "$(find "$folder" -mindepth 1 -maxdepth 1 ! \( "$@" \) -print -quit)" ]
}

fix_permissions() {
	if is_alone . -name '*.rdb' -o -type d -name appendonlydir; then
		find . | while IFS= read -r path; do give rw "$path"; done
	else
		echo "Notice: there are other files than Redis's in $PWD; their owners stay as they are."
	fi
	config=${1:-}
	if [ -f "$config" ]; then
		folder=$(dirname "$config")
		if is_alone "$folder" -name "${config##*/}"; then
			give r "$folder" "$config"
		else
			echo "Notice: there are other files beside $config; its owner stays as it is."
		fi
	fi
}

can_step_down() {
	[ "$(id -u)" = 0 ] && [ -z "${SKIP_DROP_PRIVS:-}" ] || return 1
	setpriv --dump | grep 'Capability bounding set:' | grep -w setuid | grep -qw setgid
}

# Options only, or a configuration file: they are meant for redis-server.
case ${1:-} in
-* | *.conf) set -- redis-server "$@" ;;
esac

case ${1:-} in
redis-server | redis-sentinel)
	if can_step_down; then
		if [ -z "${SKIP_FIX_PERMS:-}" ]; then
			case ${2:-} in -*) fix_permissions ;; *) fix_permissions "${2:-}" ;; esac
		fi
		exec $as_redis --nnp --inh-caps=-all --bounding-set=-all "$0" "$@"
	fi
	echo 'Starting Redis Server'
	;;
esac
# The data files are nobody else's business.
if [ "$(umask)" = 0022 ]; then umask 0077; fi

exec "$@"
