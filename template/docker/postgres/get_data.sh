#!/bin/sh
# Print the rows of $DATA_FILE as COPY takes them; the \copy lines of initdb.sql and datasets/*.sql read them from here.
# The options, and what they do: docker/postgres/get_data.sh --help
PYTHONPATH="$(dirname "$0")/../../.dsproj" exec python3 -m dsproj.database.normalise "$@"
