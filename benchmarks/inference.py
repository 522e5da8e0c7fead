"""What pandas, polars, csvkit, DuckDB's own sniffer and the template make of the same tricky columns.

    uv run --with pandas --with polars --with csvkit --with duckdb==2.0.0 python benchmarks/inference.py

Prints the table of docs/inference.md.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "template" / ".dsproj"))

import agate
import duckdb
import pandas as pd
import polars as pl
from dsproj.kernel.schema import reading

ROWS = 3_000
# Title, what it shows, the value of row number i.
COLUMNS = [
    ("zip", "zip codes, `01234`", lambda i: f"{i % 90000 + 501:05d}"),
    ("plz", "zip codes, none with a zero, `94110`", lambda i: str(10115 + i)),
    ("order_id", "ids of 19 digits", lambda i: str(1234567890123456789 + i)),
    ("tweet", "ids of 20 digits", lambda i: str(12345678901234567890 + i)),
    ("phone", "`+4915112345678`", lambda i: f"+49151{12345678 + i}"),
    ("amount", "25 digits, `0.1234567890123456789012345`", lambda i: f"0.1234567890123456789{i:06d}"),
    ("count", "whole numbers with `NA`", lambda i: "NA" if i % 7 == 3 else str(i)),
    ("workclass", "words with `?`", lambda i: "?" if i % 9 == 4 else "Private"),
    ("code", "country codes, with Namibia's `NA`", lambda i: ("DE", "NA", "FR")[i % 3]),
    ("flag", "`true`, `false`", lambda i: ("true", "false")[i % 2]),
    ("answer", "`yes`, `no`", lambda i: ("yes", "no")[i % 2]),
    ("bit", "`0`, `1`", lambda i: str(i % 2)),
    ("day", "`31/01/2026`", lambda i: f"{i % 28 + 1:02d}/01/2026"),
    ("either", "`01/02/2026`, all up to 12", lambda i: f"{i % 12 + 1:02d}/{i % 11 + 1:02d}/2026"),
    ("iso", "`2026-01-31`", lambda i: f"2026-01-{i % 28 + 1:02d}"),
    ("zoned", "`2026-01-31T10:00:00+01:00`", lambda i: f"2026-01-{i % 28 + 1:02d}T10:00:00+01:00"),
    ("late", "numbers, `n.d.` in the last row", lambda i: "n.d." if i == ROWS - 1 else str(i)),
    ("late_float", "whole numbers, `0.5` in the last row", lambda i: "0.5" if i == ROWS - 1 else str(i)),
]


def attempt(function):
    """What a library says of each column, or why it stops."""
    try:
        return function()
    except Exception as error:
        return [f"stops: {str(error).splitlines()[0][:40]}"] * len(COLUMNS)


def by_pandas(path):
    frame = pd.read_csv(path, low_memory=False)
    return [str(dtype) for dtype in frame.dtypes]


def by_polars(path):
    return [
        str(dtype).split("(")[0] for dtype in pl.read_csv(path, try_parse_dates=True, infer_schema_length=None).dtypes
    ]


def by_csvkit(path):
    table = agate.Table.from_csv(str(path))
    return [type(column.data_type).__name__ for column in table.columns]


def by_duckdb(path):
    described = duckdb.sql(f"DESCRIBE SELECT * FROM read_csv('{path}', sample_size = -1)").fetchall()
    return [row[1] for row in described]


def by_us(path):
    return [column.type for column in reading.read(path).columns]


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tricky.csv"
        with open(path, "w") as file:
            file.write(",".join(title for title, _, _ in COLUMNS) + "\n")
            for number in range(ROWS):
                file.write(",".join(value(number) for _, _, value in COLUMNS) + "\n")
        found = [
            attempt(lambda f=function: f(path)) for function in (by_pandas, by_polars, by_csvkit, by_duckdb, by_us)
        ]
    print("| column | pandas | polars | csvkit | DuckDB alone | here |\n|---|---|---|---|---|---|")
    for (_, what, _), *kinds in zip(COLUMNS, *found, strict=True):
        print(f"| {what} | {' | '.join(kinds)} |")


if __name__ == "__main__":
    main()
