#!/bin/sh
# The same for a data file that is no CSV file, such as Parquet or a workbook: where kernels run, which have its readers.
# The options, and what they do: make exec CMD="docker/postgres/get_table.sh --help"
PYTHONPATH="$(dirname "$0")/../../.dsproj" exec python3 -m dsproj.kernel.tables "$@"
