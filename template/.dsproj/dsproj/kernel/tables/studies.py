"""Files of Stata, SAS and SPSS, read by ReadStat: names of columns, and labels for codes, come from the file."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa

from dsproj.errors import Problem
from dsproj.kernel.schema.column_types import Column
from dsproj.kernel.tables import Source, Table, columns_of
from dsproj.kernel.tables.rows import sql_type

CELLS = 2_000_000  # in a block
READERS = {
    "Stata": "read_dta",
    "SAS": "read_sas7bdat",
    "SAS transport": "read_xport",
    "SPSS": "read_sav",
    "SPSS portable": "read_por",
}


def read(source: Source) -> Table:
    import pyreadstat

    reader = getattr(pyreadstat, READERS[source.kind])
    _, about = tried(lambda: reader(str(source.path), metadataonly=True))
    if not about.column_names:
        raise Problem("it holds no columns")
    labels = about.variable_value_labels
    columns, found = columns_of(about.column_names), [Found() for _ in about.column_names]
    rows = 0
    for frame in frames(source, len(columns)):
        rows += len(frame)
        for each, title in zip(found, about.column_names, strict=True):
            each.add(frame[title], labels.get(title))
    for column, each in zip(columns, found, strict=True):
        each.decide(column)
        column.title = about.column_names_to_labels.get(column.title) or column.title
    labelled = frozenset(number for number, each in enumerate(found) if each.labelled)
    return Table(replace(source, labels=labelled), columns, rows)


class Found:
    """What a column's blocks hold."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self.labelled: bool | None = None  # has every value a label?
        self.whole = True
        self.least = self.most = 0

    def add(self, column: pd.Series, labels: dict[Any, str] | None) -> None:
        values = column.dropna()
        if values.empty:
            return
        has_labels = bool(labels) and bool(values.isin(list(labels or ())).all())
        self.labelled = has_labels and self.labelled is not False
        self.types.add(sql_type(pa.array(values, from_pandas=True).type))
        if values.dtype.kind in "iuf":
            self.whole &= bool((values % 1 == 0).all())
            self.least, self.most = min(self.least, values.min()), max(self.most, values.max())

    def decide(self, column: Column) -> None:
        if self.labelled:
            column.notes.append("labels in the place of codes")
        elif not self.types:
            column.notes.append("text: no value to judge by")
        elif self.types <= {"double precision", "real", "smallint", "integer", "bigint"}:
            size = max(-self.least, self.most)
            column.type = (
                "double precision" if not self.whole or size > 2**53 else "integer" if size < 2**31 else "bigint"
            )
        elif len(self.types) == 1:
            (column.type,) = self.types


def tried(read_it: Callable[[], Any]) -> Any:
    from pyreadstat import PyreadstatError, ReadstatError

    try:
        return read_it()
    except (PyreadstatError, ReadstatError, UnicodeDecodeError) as error:
        raise Problem(f"ReadStat cannot read it: {error}") from None


def frames(source: Source, width: int) -> Iterator[pd.DataFrame]:
    import pyreadstat

    reader = getattr(pyreadstat, READERS[source.kind])
    chunks = pyreadstat.read_file_in_chunks(reader, str(source.path), chunksize=max(CELLS // width, 100))
    while (chunk := tried(lambda: next(chunks, None))) is not None:
        yield chunk[0]


def blocks(source: Source) -> Iterator[pa.RecordBatch]:
    import pyreadstat

    _, about = tried(lambda: getattr(pyreadstat, READERS[source.kind])(str(source.path), metadataonly=True))
    for frame in frames(source, len(about.column_names)):
        arrays = []
        for number, title in enumerate(about.column_names):
            column = frame[title]
            if number in source.labels:
                column = column.map(about.variable_value_labels[title])
            arrays.append(whole(pa.array(column, from_pandas=True)))
        yield pa.RecordBatch.from_arrays(arrays, names=list(map(str, range(len(arrays)))))


def whole(array: pa.Array) -> pa.Array:
    """Whole numbers as such: a large one with an exponent would be none to an integer column."""
    try:
        return array.cast(pa.int64()) if pa.types.is_floating(array.type) else array
    except pa.ArrowInvalid:  # one has a fraction
        return array
