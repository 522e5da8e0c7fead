#!/bin/sh
# Print the rows of $DATA_FILE as COPY takes them; the \copy lines of initdb.sql and datasets/*.sql read them from here.
# The options, and what they do: normalise.py --help
exec python3 "$(dirname "$0")/normalise.py" "$@"
