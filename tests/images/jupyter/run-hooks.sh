#!/bin/bash
# Sourced with one folder: sources its *.sh, runs what else is executable, in order. A hook that fails is
# reported and passed over.
if ! declare -F _log >/dev/null; then
	# shellcheck source=tests/images/jupyter/_docker_stacks_log.sh
	source /usr/local/bin/_docker_stacks_log.sh
fi
if [[ $# -ne 1 || ! -d $1 ]]; then
	_log_error "run-hooks.sh needs one folder, and got: $*"
	return 1
fi

[[ $- == *e* ]] && hooks_errexit=-e || hooks_errexit=+e
set +e
_log_info "Hooks in $1, as $(id -u):$(id -g)"
for hook in "$1"/*; do
	[[ -e $hook ]] || continue
	if [[ $hook == *.sh ]]; then
		_log_info "Sourcing $hook"
		# shellcheck disable=SC1090
		source "$hook" || _log_error "$hook failed; going on"
		set +e # a hook may have turned it on
	elif [[ -x $hook ]]; then
		_log_info "Running $hook"
		"$hook" || _log_error "$hook failed; going on"
	else
		_log_info "Ignoring $hook, which is not executable"
	fi
done
set "$hooks_errexit"
unset hook hooks_errexit
