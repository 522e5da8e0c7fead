"""From PostgreSQL to a DataFrame, by COPY."""

# COPY moves a table as CSV several times faster than row by row, and Arrow reads and writes CSV several times faster than
# pandas. CSV knows no types: they come from the cursor's description. And both sides keep NULL and "" apart: "" is in
# quotes, NULL is an empty field without.

import codecs
import re
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import extensions, sql
from pyarrow import csv as arrow_csv

from dsproj.kernel.connection import Cursor, identifier

BLOCK = 2**20  # bytes of CSV text, or one row if that is longer, that are parsed at a time

# Type oids; they are the same in every PostgreSQL.
BOOLEAN, JSON, JSONB, TIMESTAMP, TIMESTAMPTZ, BYTEA, BYTEA_ARRAY = 16, 114, 3802, 1114, 1184, 17, 1001
INTEGERS = {20, 21, 23, 26}
FLOATS = {700, 701}
TEXTS = {18, 19, 25, 1042, 1043}

# What psycopg2 would turn into something else, by type: date, interval, time, timetz.
UNKNOWN_TO_PYTHON = {1082: "infinity", 1186: "infinity|mon|year", 1083: "^24:", 1266: "^24:"}

# What NULL can be in: Arrow's own choice would make an integer column with a NULL one of floats.
TEXT = pd.StringDtype(na_value=np.nan)
PANDAS_TYPES = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): TEXT}


def text(cur: Cursor, query: Any, params: Any, sample: float | None, seed: int) -> str:
    """The query without placeholders, or the one that a table's name stands for: all its rows, or a share of them."""
    if isinstance(query, str) and re.fullmatch(r"\w+(\.\w+)?", query):
        query = sql.SQL("SELECT * FROM {}").format(identifier(query))
        if sample is not None:
            if not 0 < sample <= 1:
                raise ValueError(f"sample is a share of the rows, above 0 and at most 1: {sample} is none")
            share = sql.SQL(" TABLESAMPLE BERNOULLI ({}) REPEATABLE ({})")
            query += share.format(sql.Literal(sample * 100), sql.Literal(seed))
    elif sample is not None:
        how = "in a query, write FROM t TABLESAMPLE BERNOULLI (10) REPEATABLE (0)"
        raise ValueError(f"sample is of a table, which is given by its name; {how}")
    if params is None and isinstance(query, str):
        return query
    return bytes(cur.mogrify(query, params)).decode()


def read(cur: Cursor, query: str) -> pd.DataFrame:
    """Return the rows of `query` (complete, no placeholders left) as a DataFrame; see lib.postgres.read_frame."""
    query = query.strip().rstrip(";")
    # The line breaks keep a comment at the query's end from swallowing the bracket.
    cur.execute(f"SELECT * FROM (\n{query}\n) AS q LIMIT 0")
    columns = [(column.name, column.type_code) for column in cur.description or ()]
    if not columns:
        return pd.DataFrame()
    # By position, since SQL allows a name twice.
    schema = pa.schema([(str(i), _arrow_type(oid)) for i, (_, oid) in enumerate(columns)])
    with futures.ThreadPoolExecutor(1) as parser:  # one block is parsed while the server sends the next
        csv = _Rows(parser, schema, cur.connection.cancel)
        cur.copy_expert(f"COPY (\n{query}\n) TO STDOUT (FORMAT csv)", csv)
        try:
            parsed = pa.concat_tables([schema.empty_table(), *csv.results()]).columns
        except pa.ArrowInvalid as error:
            found = re.search(r"CSV column #(\d+): (.*)", str(error))
            raise _unknown_time(columns[int(found[1])][0], found[2]) if found else error from None
    series = []
    for name, oid in columns:  # each goes when it is converted, so that not all are in memory twice
        series.append(_from_arrow(parsed.pop(0), oid, name, cur))
    df = pd.concat(series, axis=1)
    df.columns = [name for name, _ in columns]
    return df


class _Rows:
    """A file for COPY to write to. Every BLOCK of whole rows goes to the parser's thread."""

    def __init__(self, parser: futures.Executor, schema: pa.Schema, cancel: Callable[[], None]) -> None:
        self.parser, self.schema, self.cancel = parser, schema, cancel
        self.tables: list[futures.Future[pa.Table]] = []
        self.rows: list[bytes] = []
        self.size = 0

    def write(self, row: bytes) -> None:
        """Take one row: libpq hands over just that."""
        try:
            self.rows.append(row)
            self.size += len(row)
            if self.size >= BLOCK:
                self.flush()
        except BaseException:  # you interrupt it: else libpq would fetch all that is left first
            self.cancel()
            raise

    def flush(self) -> None:
        text, self.rows, self.size = b"".join(self.rows), [], 0
        futures.wait(self.tables[-2:-1])  # no more than two blocks are kept waiting
        self.tables.append(self.parser.submit(_parse, text, self.schema))

    def results(self) -> list[pa.Table]:
        """What became of the blocks, in order."""
        if self.rows:
            self.flush()
        return [table.result() for table in self.tables]


def _parse(text: bytes, schema: pa.Schema) -> pa.Table:
    """Whole rows of CSV text as an Arrow table."""
    if text.startswith(codecs.BOM_UTF8):
        text = codecs.BOM_UTF8 + text  # Arrow drops the first one, and this is a value's
    reading = arrow_csv.ReadOptions(column_names=schema.names, block_size=len(text), use_threads=False)
    parsing = arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    types = arrow_csv.ConvertOptions(column_types=schema, true_values=["t"], false_values=["f"])
    types.null_values, types.strings_can_be_null, types.quoted_strings_can_be_null = [""], True, False
    return arrow_csv.read_csv(pa.BufferReader(text), reading, parsing, types)


def _arrow_type(oid: int) -> pa.DataType:
    """How Arrow reads the column's CSV text; text also for all that `_from_arrow` converts."""
    if oid in (TIMESTAMP, TIMESTAMPTZ):
        return pa.timestamp("us", "UTC" if oid == TIMESTAMPTZ else None)
    if oid in INTEGERS:
        return pa.int64()  # also for smallint: small integers overflow silently in arithmetic
    if oid in FLOATS:
        return pa.float64()
    return pa.bool_() if oid == BOOLEAN else pa.string()


def _from_arrow(column: pa.ChunkedArray, oid: int, name: str, cur: Cursor) -> pd.Series:
    """The column as its type wants it, as a Series; `column` comes from CSV as `_arrow_type` said."""
    cast = extensions.string_types.get(oid)
    if cast is None or not pa.types.is_string(column.type) or oid in TEXTS:
        return column.to_pandas(types_mapper=PANDAS_TYPES.get)
    if pattern := UNKNOWN_TO_PYTHON.get(oid):
        for text in column.filter(pc.match_substring_regex(column, pattern))[:1].to_pylist():
            raise _unknown_time(name, text)
    try:
        values = [None if text is None else cast(text, cur) for text in column.to_pylist()]
    except ValueError as error:  # years BC or past 9999
        raise _unknown_time(name, error) from None
    return pd.Series(_bytes(values) if oid in (BYTEA, BYTEA_ARRAY) else values, dtype=object)


def _bytes(values: list[Any]) -> list[Any]:
    """The same with bytes in the place of psycopg2's memoryviews, also within lists."""
    return [_bytes(value) if isinstance(value, list) else None if value is None else bytes(value) for value in values]


def _unknown_time(name: str, problem: object) -> ValueError:
    return ValueError(f"column {name!r}: Python has no such time, cast it to text ({problem})")
