"""Files of every format that `make dataset` takes, made here, with the rows that a table of them has."""

import datetime
import decimal
import json
import sqlite3
from pathlib import Path

import duckdb
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pyreadstat

DAY, MOMENT = datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 10, 0, 0, 123456)


def arrow_table():
    columns = {
        "Plot ID": pa.array([1, 2, None], pa.int32()),
        "big": pa.array([2**40, 1, None]),
        "crop": ["wheat", "", 'x"y,z\n'],
        "yield": [1.5, float("nan"), None],
        "day": pa.array([DAY, None, datetime.date(1, 1, 1)]),
        "at": pa.array([MOMENT, None, None], pa.timestamp("ns")),
        "zoned": pa.array([MOMENT, None, None], pa.timestamp("us", "Europe/Berlin")),
        "ok": [True, False, None],
        "price": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-0.01")]),
        "tags": [["a", "b"], [], None],
        "place": [{"x": 1.5, "y": None}, None, None],
        "raw": pa.array([b"\x00\xff", b"", None]),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        "many": pa.array([2**63, None, 1], pa.uint64()),
        "took": pa.array([datetime.timedelta(1, 2, 3), None, None]),
    }
    return pa.table(columns)


ARROW = [
    {"plot_id": 1, "big": 2**40, "crop": "wheat", "yield": 1.5, "day": "2026-01-31", "at": "2026-01-31T10:00:00.123456",
     "zoned": "2026-01-31T10:00:00.123456+00:00", "ok": True, "price": 1.10, "tags": ["a", "b"],
     "place": {"x": 1.5, "y": None}, "raw": "\\x00ff", "kind": "a", "many": 2**63, "took": "1 day 00:00:02.000003"},
    {"plot_id": 2, "big": 1, "crop": "", "yield": "NaN", "ok": False, "tags": [], "raw": "\\x", "kind": "b"},
    {"crop": 'x"y,z\n', "day": "0001-01-01", "price": -0.01, "kind": "a", "many": 1},
]  # fmt: skip


def parquet(path):
    pa.parquet.write_table(arrow_table(), path)


def feather(path):
    pa.feather.write_feather(arrow_table(), path)


def arrow_stream(path):
    table = arrow_table()
    with pa.ipc.new_stream(path, table.schema) as written:
        written.write_table(table)


def json_lines(path):
    path.write_text(
        '{"id":1,"name":"a","zip":"01234","born":"2026-01-31","at":"2026-01-31T10:00:00Z","x":1.10,"tags":["a",1.5]}\n\n'
        '{"id":2,"name":"","Deep, er":{"a":{"b":0.1}},"x":3,"ok":true}\n'
        '{"id":9007199254740993,"name":null,"mixed":1,"exact":0.12345678901234567890}\n{"mixed":"n/a"}\n'
    )


def json_array(path):
    path.write_text(' [\n {"a": 1, "b": null},\n {"a": 2, "b": "\\u00e9 [\\"x\\"]"}]\n', encoding="utf-8")


def geojson(path):
    point = {"type": "Point", "coordinates": [7.44, 46.95]}
    features = [
        {"type": "Feature", "id": 7, "properties": {"name": "Bern", "people": 134591}, "geometry": point},
        {"type": "Feature", "properties": None, "geometry": None},
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "name": "x", "features": features}))


def workbook(path):
    book = openpyxl.Workbook()
    book.active.title = "Sheet 1"
    for row in [
        ["Name", "Born", "Number", "Zip", "Ok", "At"],
        ["a", DAY, 1, "01234", True, MOMENT.replace(microsecond=0)],
        ["b", None, 2, "94110", False, None],
        [None] * 6,
        ["c, d", datetime.date(2026, 2, 1), "NA", "1", True, None],
    ]:
        book.active.append(row)
    book.create_sheet("other").append(["x"])
    book.save(path)


def sqlite(path):
    with sqlite3.connect(path) as con:
        con.executescript("""
            CREATE TABLE orders (id integer PRIMARY KEY, day date, at datetime, amount real, note text, paid boolean, raw blob, mix);
            INSERT INTO orders VALUES (1, '2026-01-31', '2026-01-31 10:00:00', 1.5, '', 1, x'00ff', 1),
                (2, NULL, NULL, 2, 'a "b"', 0, NULL, 'x'), (3, '2026-02-01', '2026-02-01 11:00:00.5', NULL, NULL, NULL, NULL, NULL);
            CREATE TABLE others (a int);
        """)
    con.close()


def duckdb_file(path):
    con = duckdb.connect(str(path))
    con.execute("""CREATE TABLE t AS SELECT 170141183460469231731687303715884105727 AS huge, interval 3 days AS took,
        'c6d68cbb-5df6-4bc1-9cd8-e0ee2b2cbf23'::uuid AS key, 'a'::enum('a', 'b') AS kind, [1, 2] AS list, {'a': 1} AS place,
        map{'k': 1} AS labels, '12:00'::time AS clock, 1.5::decimal(5, 2) AS price, json('{"a":1}') AS doc, bit '101' AS bits
    """)
    con.execute("CREATE SCHEMA more; CREATE TABLE more.other AS SELECT 1 AS a")
    con.close()


STUDY = pd.DataFrame(
    {
        "id": [1.0, 2.0, 3.0],
        "sex": [1.0, 2.0, 1.0],
        "part": [1.0, 2.0, 98.0],
        "w": [0.5, None, 2.0],
        "name": ["a", "b", "ü"],
        "day": [DAY, None, datetime.date(2026, 2, 1)],
    }
)
LABELS = {"sex": {1: "male", 2: "female"}}
OF_STUDY = [
    {"id": 1, "sex": "male", "part": 1, "w": 0.5, "name": "a", "day": "2026-01-31"},
    {"id": 2, "sex": "female", "part": 2, "name": "b"},
    {"id": 3, "sex": "male", "part": 98, "w": 2, "name": "ü", "day": "2026-02-01"},
]
CODES = [{**row, "sex": 1 + (row["sex"] == "female")} for row in OF_STUDY]


def spss(path):
    pyreadstat.write_sav(STUDY, str(path), column_labels=["The person"] + [""] * 5, variable_value_labels=LABELS)


def stata(path):
    pyreadstat.write_dta(STUDY, str(path), variable_value_labels=LABELS)


def transport(path):
    pyreadstat.write_xport(STUDY, str(path), file_format_version=5)


def fixed(path):
    path.write_text("001Ada      1.5\n002Böhm     22.0\n\n003            \n", encoding="utf-8")


def tabs(path):
    path.write_text("a\tb\n1\tx y\n")


# name: (writes it, what is typed after the path, further variables, the rows)
FORMATS = {
    "crops.parquet": (parquet, "", {}, ARROW),
    "crops.feather": (feather, "", {}, ARROW),
    "crops.arrows": (arrow_stream, "", {}, ARROW),
    "lines.jsonl": (json_lines, "", {}, [
        {"id": 1, "name": "a", "zip": "01234", "born": "2026-01-31", "at": "2026-01-31T10:00:00+00:00", "x": 1.1, "tags": ["a", 1.5]},
        {"id": 2, "name": "", "deep_er": {"a": {"b": 0.1}}, "x": 3, "ok": True},
        {"id": 9007199254740993, "mixed": "1", "exact": decimal.Decimal("0.12345678901234567890")},
        {"mixed": "n/a"},
    ]),
    "array.json": (json_array, "", {}, [{"a": 1}, {"a": 2, "b": 'é ["x"]'}]),
    "places.geojson": (geojson, "", {}, [
        {"name": "Bern", "people": 134591, "id": 7, "geometry": {"type": "Point", "coordinates": [7.44, 46.95]}}, {},
    ]),
    "book.xlsx": (workbook, "#Sheet 1", {}, [
        {"name": "a", "born": "2026-01-31", "number": 1, "zip": "01234", "ok": True, "at": "2026-01-31T10:00:00"},
        {"name": "b", "number": 2, "zip": "94110", "ok": False},
        {"name": "c, d", "born": "2026-02-01", "zip": "1", "ok": True},
    ]),
    "shop.sqlite": (sqlite, "#orders", {}, [
        {"id": 1, "day": "2026-01-31", "at": "2026-01-31T10:00:00", "amount": 1.5, "note": "", "paid": True, "raw": "\\x00ff", "mix": "1"},
        {"id": 2, "amount": 2, "note": 'a "b"', "paid": False, "mix": "x"},
        {"id": 3, "day": "2026-02-01", "at": "2026-02-01T11:00:00.5"},
    ]),
    "shop.duckdb": (duckdb_file, "#t", {}, [
        {"huge": 2**127 - 1, "took": "3 days", "key": "c6d68cbb-5df6-4bc1-9cd8-e0ee2b2cbf23",
         "kind": "a", "list": [1, 2], "place": {"a": 1}, "labels": {"k": 1}, "clock": "12:00:00", "price": 1.5,
         "doc": {"a": 1}, "bits": "101"},
    ]),
    "study.sav": (spss, "", {}, OF_STUDY),
    "study.dta": (stata, "", {}, OF_STUDY),
    "study.xpt": (transport, "", {}, CODES),
    "fixed.txt": (fixed, "", {"WIDTHS": "3,9,6", "HEADER": "no", "COLUMNS": "id,name,x"}, [
        {"id": "001", "name": "Ada", "x": 1.5}, {"id": "002", "name": "Böhm", "x": 22}, {"id": "003"},
    ]),
    "tabs.tsv": (tabs, "", {}, [{"a": 1, "b": "x y"}]),
}  # fmt: skip

# Damaged files, and what is said of them: (name, how it is made from the whole one, the message).
CUT = lambda data: data[: len(data) // 2]  # noqa: E731
BROKEN = {
    "crops.parquet": (CUT, "the file is damaged or cut off"),
    "crops.feather": (CUT, "the file is damaged or cut off"),
    "crops.arrows": (CUT, "the file is damaged or cut off"),
    "lines.jsonl": (lambda data: data.replace(b'"x":3', b'"x":3,,'), "record 2, line 3: this is no JSON"),
    "array.json": (CUT, "the file is cut off in record 2"),
    "places.geojson": (CUT, "the file is cut off in record"),
    "book.xlsx": (CUT, "damaged or cut off"),
    "shop.sqlite": (CUT, "SQLite cannot read it"),
    "shop.duckdb": (CUT, "DuckDB cannot read it"),
    "study.sav": (CUT, "ReadStat cannot read it"),
    "study.dta": (CUT, "ReadStat cannot read it"),
    "study.xpt": (lambda data: data[:300], "ReadStat cannot read it"),
    "fixed.txt": (lambda data: data + b"004 someone with a longer line\n", "line 5 is longer than WIDTHS says"),
    "tabs.tsv": (lambda data: data + b"2\tx\ty\tz\n", "line 3 has"),
}


def make(name, folder):
    """The file's path, what is typed as SOURCE, further words for make, the rows."""
    write, part, variables, rows = FORMATS[name]
    path = Path(folder) / name
    write(path)
    return path, f"{path}{part}", [f"{key}={value}" for key, value in variables.items()], rows
