# A terminal of JupyterLab: as the user has made it, with the Python and the variables of the kernels before all else.
kept=$(export -p)
if [ -f ~/.bashrc ]; then . ~/.bashrc; fi
more=$PATH
eval "$kept"
PATH=$PATH:$more
unset kept more

# Smaller images have no make; the commands are the same.
command -v make >/dev/null || make() { python3 "$PROJECT_ROOT/.dsproj" "$@"; }
