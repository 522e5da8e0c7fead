"""numpy's arrays in PostgreSQL: any array by name, and the nearest of the vectors in a column."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from psycopg2 import errors, sql

from dsproj.kernel import bytea, values
from dsproj.kernel.connection import exists, identifier, transaction
from dsproj.kernel.redis_values import Pieces

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TABLE = """
SELECT pg_advisory_xact_lock(hashtext('dsproj_arrays'));
DO $$ BEGIN IF to_regclass('dsproj_arrays') IS NULL THEN
    CREATE TABLE dsproj_arrays (
        name text PRIMARY KEY, dtype text NOT NULL, shape text NOT NULL, stored_at timestamptz NOT NULL DEFAULT now(),
        content bytea NOT NULL
    );
    ALTER TABLE dsproj_arrays ALTER content SET STORAGE EXTERNAL;
END IF; END $$;
DELETE FROM dsproj_arrays WHERE name = %s
"""
NEAREST = """
SELECT t.*, (SELECT sqrt(sum((a - b) ^ 2)) FROM unnest(t.{column}, %s::double precision[]) AS u (a, b)) AS distance
FROM {table} AS t WHERE t.{column} IS NOT NULL ORDER BY distance LIMIT %s
"""


def store_array(name: str, array: "np.ndarray") -> None:
    """Keep an array as `name` in PostgreSQL, in place of the one before: of any dtype but objects, of any shape, empty ones and NaN too.

    It is a row of dsproj_arrays, so a backup holds it. What is pending on the connection is committed with it. Raises TypeError for
    what is no array, and for one of objects or with a mask; ValueError for more than 512 MB.
    """
    import numpy as np

    what = f"store_array({name!r}, …)"
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{what}: a {type(array).__name__} is no array; np.asarray makes one of numbers")
    try:
        data = values.array(array)
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None
    pieces = data.pieces if isinstance(data, Pieces) else [data]
    with transaction() as cur:
        cur.execute(TABLE, [name])
        row = {"name": name, "dtype": str(array.dtype), "shape": str(array.shape), "content": pieces}
        bytea.insert(cur, "dsproj_arrays", row)


def load_array(name: str) -> "np.ndarray":
    """Return the array that was stored as `name`, with its dtype and shape. Raises LookupError, which says what there is."""
    with transaction(reading=True) as cur:
        known: list[str] = []
        if exists(cur, "dsproj_arrays"):
            content = bytea.fetch(cur, "SELECT content FROM dsproj_arrays WHERE name = %s", [name])
            if content is not None:
                return values.decode(name, bytearray(content))
            cur.execute("SELECT name FROM dsproj_arrays ORDER BY name LIMIT 20")
            known = [row["name"] for row in cur]
    raise LookupError(f"no array is stored as {name!r}; there is: {', '.join(map(repr, known)) or 'none yet'}")


def nearest(table: str, column: str, vector: Iterable[float], n: int = 5) -> "pd.DataFrame":
    """The n rows of `table` whose `column`, of type double precision[], is nearest to `vector`, with their Euclidean distance.

    PostgreSQL computes all distances: no index, no approximation. Raises ValueError where vectors have another length, TypeError
    for a column that is no array.
    """
    from dsproj.kernel import frames_read

    numbers = [float(number) for number in vector]
    names = {"table": identifier(table), "column": sql.Identifier(column)}
    lengths = "SELECT cardinality({column}) FROM {table} WHERE cardinality({column}) <> %s LIMIT 1"
    with transaction(reading=True) as cur:
        try:
            cur.execute(sql.SQL(lengths).format(**names), [len(numbers)])
        except errors.UndefinedFunction:
            raise TypeError(f"{table}.{column} is no array, such as double precision[]") from None
        if other := cur.fetchone():
            raise ValueError(f"{table}.{column} has vectors of {other[0]} numbers, and this one has {len(numbers)}")
        query = sql.SQL(NEAREST).format(**names)
        return frames_read.read(cur, frames_read.text(cur, query, [numbers, int(n)], None, 0))
