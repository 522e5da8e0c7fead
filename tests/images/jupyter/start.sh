#!/bin/bash
# Entry point of the Jupyter stand-ins: fit the user to the container, run the hooks, run the command.
# Takes the same branches as upstream's start.sh and understands the same variables (NB_USER NB_UID NB_GID
# NB_GROUP GRANT_SUDO CHOWN_HOME[_OPTS] CHOWN_EXTRA[_OPTS] JUPYTER_ENV_VARS_TO_UNSET); written anew.
set -e
# shellcheck source=tests/images/jupyter/_docker_stacks_log.sh
source /usr/local/bin/_docker_stacks_log.sh

if [[ $# -eq 0 ]]; then set -- bash; fi
command=("$@")
_log_info "start.sh got:" "${command[@]}"

if [[ ${_START_SH_EXECUTED:-} == 1 ]]; then
	_log_warn "start.sh is the entry point already; leave it out of the command"
	exec "${command[@]}"
fi
export _START_SH_EXECUTED=1

_is_yes() { [[ $1 == 1 || $1 == yes ]]; }

forget_variables() {
	local name
	for name in ${JUPYTER_ENV_VARS_TO_UNSET//,/ }; do unset "$name"; done
	unset JUPYTER_ENV_VARS_TO_UNSET
}

# --- As root: everything can be fitted -------------------------------------------------------------------

# jovyan becomes NB_USER with NB_UID and NB_GID.
fit_user() {
	if id jovyan &>/dev/null; then
		# Not when NB_USER is a user already, as root is.
		if [[ $NB_USER != jovyan ]] && usermod --login "$NB_USER" --home "/home/$NB_USER" jovyan; then
			_log_info "User jovyan is called $NB_USER now"
		fi
	elif ! id "$NB_USER" &>/dev/null; then
		_log_fatal "There is neither a user jovyan nor a user $NB_USER (was the container stopped and started with another NB_USER?)"
	fi

	if [[ $NB_UID:$NB_GID == "$(id -u "$NB_USER"):$(id -g "$NB_USER")" ]]; then return 0; fi
	_log_info "User $NB_USER gets $NB_UID:$NB_GID"
	if [[ $NB_GID != "$(id -g "$NB_USER")" ]]; then
		groupadd --force --non-unique --gid "$NB_GID" "${NB_GROUP:-$NB_USER}"
	fi
	userdel "$NB_USER"
	# Group 100 (users) stays: it is what may write to CONDA_DIR.
	useradd --no-log-init --home-dir "/home/$NB_USER" --shell /bin/bash --uid "$NB_UID" --gid "$NB_GID" --groups 100 "$NB_USER"
}

is_root_wanted() { [[ $NB_USER == root && $NB_UID == "$(id -u root)" && $NB_GID == "$(id -g root)" ]]; }

# Another user name gets a copy of jovyan's home, and the working folder follows.
fit_home() {
	[[ $NB_USER != jovyan ]] || return 0
	local copy=(cp -a)
	if is_root_wanted; then
		sed -i 's|:/root:|:/home/root:|' /etc/passwd
		copy+=(--no-preserve=ownership)
	fi
	if [[ ! -e /home/$NB_USER ]]; then
		mkdir "/home/$NB_USER"
		"${copy[@]}" /home/jovyan/. "/home/$NB_USER/" ||
			{ _log_warn "Could not copy /home/jovyan, so it gets linked" && ln -s /home/jovyan "/home/$NB_USER"; } ||
			_log_fatal "Could make no /home/$NB_USER"
	fi
	if [[ $PWD/ == /home/jovyan/* ]]; then cd "/home/$NB_USER/${PWD:13}"; fi
}

give_ownership() {
	local path
	if _is_yes "$CHOWN_HOME"; then
		# shellcheck disable=SC2086
		chown $CHOWN_HOME_OPTS "$NB_UID:$NB_GID" "/home/$NB_USER"
	fi
	for path in ${CHOWN_EXTRA//,/ }; do
		# shellcheck disable=SC2086
		chown $CHOWN_EXTRA_OPTS "$NB_UID:$NB_GID" "$path"
	done
}

set_up_sudo() {
	# sudo looks the command up in secure_path, which knows nothing of CONDA_DIR.
	local paths
	paths=$(sed -nE 's/^Defaults[[:space:]]+secure_path="?([^"]+)"?.*/\1/p' /etc/sudoers)
	printf 'Defaults secure_path="%s/bin:%s"\n' "$CONDA_DIR" "$paths" >/etc/sudoers.d/path
	if _is_yes "$GRANT_SUDO"; then
		_log_info "User $NB_USER may use sudo without a password"
		printf '%s ALL=(ALL) NOPASSWD:ALL\n' "$NB_USER" >/etc/sudoers.d/added-by-start-script
	fi
}

# --- As somebody else: warn about what cannot be had -----------------------------------------------------

# A uid without a name makes programs stumble. Group root may write /etc/passwd, for this very case.
name_ourselves() {
	if whoami &>/dev/null; then return 0; fi
	_log_info "There is no entry in /etc/passwd for UID $(id -u)"
	if [[ ! -w /etc/passwd ]]; then
		_log_warn "/etc/passwd is not writable, so this UID stays nameless; --user=$(id -u):0 would help"
		return 0
	fi
	local users
	users=$(sed 's/^jovyan:/nayvoj:/' /etc/passwd) # sed -i would want to write to the folder
	printf '%s\n%s:x:%s:%s:,,,:/home/jovyan:/bin/bash\n' "$users" "$NB_USER" "$(id -u)" "$(id -g)" >/etc/passwd
	_log_info "UID $(id -u) is $NB_USER now, and the old jovyan is nayvoj"
	if [[ $NB_USER != jovyan ]]; then _log_warn "The home folder stays /home/jovyan; only root can move it"; fi
}

warn_unprivileged() {
	local uid gid
	uid=$(id -u jovyan 2>/dev/null) || true
	gid=$(id -g jovyan 2>/dev/null) || true
	if _is_yes "$GRANT_SUDO"; then _log_warn "GRANT_SUDO needs a container started as root"; fi
	name_ourselves
	if [[ $NB_USER != jovyan && $NB_USER != "$(id -un)" ]]; then _log_warn "NB_USER=$NB_USER needs a container started as root"; fi
	if [[ $NB_UID != "$uid" && $NB_UID != "$(id -u)" ]]; then _log_warn "NB_UID=$NB_UID needs a container started as root"; fi
	if [[ $NB_GID != "$gid" && $NB_GID != "$(id -g)" ]]; then _log_warn "NB_GID=$NB_GID needs a container started as root"; fi
	if [[ ! -w /home/jovyan ]]; then _log_warn "No write access to /home/jovyan; --group-add users would help"; fi
}

# --- Now do it -------------------------------------------------------------------------------------------

# shellcheck source=tests/images/jupyter/run-hooks.sh
source /usr/local/bin/run-hooks.sh /usr/local/bin/start-notebook.d

if [[ $(id -u) == 0 ]]; then
	fit_user
	fit_home
	give_ownership
	set_up_sudo
	# shellcheck source=tests/images/jupyter/run-hooks.sh
	source /usr/local/bin/run-hooks.sh /usr/local/bin/before-notebook.d
	forget_variables
	_log_info "As $NB_USER:" "${command[@]}"
	if is_root_wanted; then HOME=/home/root exec "${command[@]}"; fi
	# sudo drops these three even when told to keep the environment.
	exec sudo --preserve-env --set-home --user "$NB_USER" \
		LD_LIBRARY_PATH="$LD_LIBRARY_PATH" PATH="$PATH" PYTHONPATH="$PYTHONPATH" "${command[@]}"
fi

warn_unprivileged
# shellcheck source=tests/images/jupyter/run-hooks.sh
source /usr/local/bin/run-hooks.sh /usr/local/bin/before-notebook.d
forget_variables
_log_info "As $(id -u):" "${command[@]}"
exec "${command[@]}"
