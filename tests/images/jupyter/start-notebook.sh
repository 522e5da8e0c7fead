#!/bin/bash
echo "WARNING: start-notebook.sh is the old name of start-notebook.py"
exec /usr/local/bin/start-notebook.py "$@"
