"""How many of the CSV files in a folder are read right: here, by DuckDB, by pandas and by polars, each with its best defaults.

    python benchmarks/corpus.py FOLDER [--only NAME …] [--readers NAME …]

pandas and polars are told the delimiter, which they do not find out by themselves (pandas: with an option that is slow).
Each file is inferred and loaded into a PostgreSQL of its own (needs Docker), and every value is compared with tests/oracle.py,
which shares no code with the template. Right: no row, column or name lost or made up, every value as the file says it, numbers as
numbers. What the oracle itself cannot split is printed, to be judged by eye.
"""

import argparse
import collections
import io
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

import copier

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import oracle  # noqa: E402
from database import Server  # noqa: E402
from dsproj.database import normalise, sqlfile  # noqa: E402

READERS = ("here", "DuckDB", "pandas", "polars")


class Table:
    def __init__(self, names, columns, commas=None, text_by_name=()):
        self.names, self.columns, self.commas, self.text_by_name = names, columns, commas or {}, text_by_name


def by_here(server, path):
    """As a seed does it, without a program in the container for each file."""
    found = server.infer(path)
    with server.connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS t; BEGIN")
        for step in sqlfile.steps(found.sql("t"), path.name):
            if step.program:
                chosen = normalise.options([*shlex.split(step.program)[1:], str(path)])
                printed = io.BytesIO(b"".join(normalise.normalised(chosen)))
                cursor.copy_expert(step.sql, printed)
            else:
                cursor.execute(step.sql)
        cursor.execute("COMMIT")
    rows = server.rows("t")
    columns = list(zip(*rows, strict=True)) or [()] * len(found.columns)
    commas = {
        c.number: "decimal" if c.decimal_comma else "thousands" for c in found.columns if c.decimal_comma or c.thousands
    }
    kept = [c.number for c in found.columns if any("a code" in note for note in c.notes)]
    return Table([c.title for c in found.columns] if found.header else None, columns, commas, kept)


def by_duckdb(path):
    import duckdb

    if path.name.endswith((".bz2", ".zip", ".xz")):
        path = unpacked(path)
    relation = duckdb.sql(f"SELECT * FROM read_csv('{path}', sample_size = -1)")
    names = relation.columns
    rows = relation.fetchall()
    if all(re.fullmatch(r"column\d+", name) for name in names):  # as it calls them where it finds no header
        names = None
    return Table(names, list(zip(*rows, strict=True)) or [()] * len(relation.columns))


def by_pandas(path, delimiter):
    import pandas as pd

    how = {"sep": r"\s+" if delimiter == " " else delimiter, "low_memory": False}
    try:
        frame = pd.read_csv(path, **how)
    except UnicodeDecodeError:
        frame = pd.read_csv(path, encoding="cp1252", **how)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    columns = [
        [None if pd.isna(value) else value for value in frame.iloc[:, i].tolist()] for i in range(frame.shape[1])
    ]
    return Table([str(name) for name in frame.columns], columns)


def by_polars(path, delimiter):
    import polars as pl

    path = unpacked(path) if path.name.endswith((".bz2", ".xz", ".zip")) else path
    frame = pl.read_csv(path, separator=delimiter, infer_schema_length=None, try_parse_dates=True)
    return Table(frame.columns, [frame[column].to_list() for column in frame.columns])


def unpacked(path):
    target = Path(tempfile.gettempdir()) / "dsproj-corpus-unpacked.csv"
    target.write_bytes(oracle.content(path))
    return target


def judge(table, rows):
    """ "" where a table is what rows of a file say, else why not. The first row has the names, or the table says it has none."""
    width = collections.Counter(map(len, rows)).most_common(1)[0][0]
    titles, body = (rows[0], rows[1:]) if table.names is not None else (None, rows)
    body = [row + [""] * (width - len(row)) for row in body]
    body = [row[:width] if not any(map(str.strip, row[width:])) else row for row in body]
    if any(len(row) != width for row in body):
        return "ragged"
    if len(table.columns) != width:
        return f"{len(table.columns)} columns, not {width}"
    if len(table.columns[0]) != len(body):
        return f"{len(table.columns[0])} rows, not {len(body)}"
    for number, values in enumerate(table.columns):
        texts = [row[number] for row in body]
        if bad := oracle.wrong(texts, values, table.commas.get(number, "")):
            return f"column {number + 1}: {len(bad)} values, such as {bad[0]!r}"
        strings = [value for value in values if isinstance(value, str)]
        if strings and oracle.is_number_column(texts) and number not in table.text_by_name:
            return f"column {number + 1} ({titles and titles[number : number + 1]}): numbers are text, such as {strings[0]!r}"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", help="files whose names have one of these in them")
    parser.add_argument("--readers", nargs="*", default=READERS)
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.iterdir() if path.is_file())
    paths = [path for path in paths if not arguments.only or any(each in path.name for each in arguments.only)]
    right = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="dsproj-corpus-") as temporary:
        project = Path(temporary) / "project"
        Path(temporary).chmod(0o755)
        copier.run_copy(
            str(ROOT), project, data={"dataset": "none"}, vcs_ref="HEAD", defaults=True, unsafe=True, quiet=True, skip_tasks=True
        )  # fmt: skip
        server = Server(f"dsproj-corpus-{os.getpid()}", project)
        try:
            if "here" in arguments.readers:
                server.start()
            for number, path in enumerate(paths):
                print(f"\r{number}", end="", file=sys.stderr, flush=True)
                try:
                    mark, rows = oracle.rows_of(path)
                except Exception as error:  # counted as wrong, to be judged by eye
                    mark, rows = ",", [[f"no rows for the oracle: {error}"]]
                mark = "," if mark == "\x1f" else mark
                read = {
                    "here": lambda path=path: by_here(server, path),
                    "DuckDB": lambda path=path: by_duckdb(path),
                    "pandas": lambda path=path, mark=mark: by_pandas(path, mark),
                    "polars": lambda path=path, mark=mark: by_polars(path, mark),
                }
                for reader in arguments.readers:
                    try:
                        why = judge(read[reader](), rows)
                    except KeyboardInterrupt:
                        raise
                    except BaseException as error:  # polars' panics are no Exception
                        if reader == "here":
                            server.query("ROLLBACK")
                        why = "refused: " + str(error).strip().replace("\n", " ")[:200]
                    right[reader, "refused" if why.startswith("refused") else "wrong" if why else "right"] += 1
                    if why:
                        print(f"{path.name}\t{reader}\t{why}", flush=True)
        finally:
            server.remove()
    for reader in arguments.readers:
        print(reader, len(paths), {what: right[reader, what] for what in ("right", "wrong", "refused")})


if __name__ == "__main__":
    main()
