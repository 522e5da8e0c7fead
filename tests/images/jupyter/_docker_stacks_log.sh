#!/bin/bash
# Sourced. Messages go to stderr; JUPYTER_DOCKER_STACKS_QUIET silences the harmless ones.
_log() {
	local level=INFO
	case $1 in INFO | DEBUG | WARNING | ERROR | FATAL) level=$1 && shift ;; esac
	case $level in INFO | DEBUG) if [[ -n ${JUPYTER_DOCKER_STACKS_QUIET:-} ]]; then return 0; fi ;; esac
	printf '%s[%(%F %T)T] %s\n' "$level" -1 "$*" >&2
}
_log_info() { _log INFO "$@"; }
_log_warn() { _log WARNING "$@"; }
_log_error() { _log ERROR "$@"; }
_log_fatal() {
	_log FATAL "$@"
	exit 1
}
