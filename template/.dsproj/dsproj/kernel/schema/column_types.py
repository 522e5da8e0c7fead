"""The PostgreSQL type of each column of a file: never narrower than a value, and text where digits name."""

# Which kinds of values a column has (see kinds.py) decides its type.

import collections
import dataclasses
import re
from typing import Any

from dsproj.kernel.schema.kinds import MISSING_IN_TEXT, kinds_query

Kinds = dict[str, dict[str, Any]]  # of the values in one column: a row of kinds_query for each

# Codes that are written with digits alone, by the words of the column's name.
CODES = frozenset(
    "zip zipcode postcode postalcode plz postal phone telephone phonenumber tel mobile fax "
    "fips ssn isbn iban ean gtin upc cusip imei".split()
)
CODE_LENGTH = 4
NUMBERS = {"integer", "grouped", "decimal", "infinite"}
COMMAS = {"comma", "three", "dotted", "integer", "grouped"}
THOUSANDS = {"thousands", "three"}
DIGITS = {"leading zeros": "leading zeros", "phone": "phone numbers", "long": "longer than 18 digits"}
DAYS = {order + time for order in ("day first", "month first", "either") for time in ("", " time")}
WITHOUT_VALUE = ("empty", "quoted empty", "blank")
BLANKS_KEPT = "blanks around values are kept"


@dataclasses.dataclass
class Column:
    """What was found in one column, and what was decided."""

    number: int  # from 0
    name: str
    title: str  # as the file has it, "" without a header
    type: str = "text"
    empty: int = 0  # rows without a value, in the file's own writing: nothing between two delimiters
    quoted_empty: int = 0  # rows with "": text keeps it, other types have no such value
    blank: int = 0  # rows with nothing but blanks
    missing: dict[str, int] = dataclasses.field(default_factory=dict)  # words that become NULL: rows
    kept: dict[str, int] = dataclasses.field(default_factory=dict)  # the same words where they are values
    notes: list[str] = dataclasses.field(default_factory=list)
    decimal_comma: bool = False
    comma_like: bool = False  # has values that normalise.py would change if it were told that commas are decimal
    padded: bool = False  # begins with a blank in every row
    needs_trim: bool = False
    order: str = ""  # of dates of the form 1/2/2026: "day first", "month first", or "either" where both can be read
    date: str = ""  # one of them

    @property
    def nulls(self) -> int:
        """Rows that will hold NULL, blanks in text aside: those depend on the whole file."""
        return self.empty + sum(self.missing.values()) + (self.quoted_empty + self.blank if self.type != "text" else 0)


def shown(text: str, longest: int = 40) -> str:
    """A value for a message: printable, in one line, not too long."""
    text = "".join(character if character.isprintable() else "·" for character in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def examine(connection: Any, table: str, columns: list[Column]) -> None:
    """Fill `columns` from a table of a DuckDB connection: text, the values of each are in c<number>."""
    cursor = connection.execute(kinds_query(table))
    names = [field[0] for field in cursor.description]
    found = collections.defaultdict(list)
    for row in cursor.fetchall():
        found[row[0]].append(dict(zip(names, row, strict=True)))
    for column in columns:
        fill(column, found[f"c{column.number}"])


def fill(column: Column, found: list[dict[str, Any]]) -> None:
    """Decide about one column, by its rows of kinds_query."""
    count = {row["kind"]: row["rows"] for row in found}
    column.empty, column.quoted_empty, column.blank = (count.get(kind, 0) for kind in WITHOUT_VALUE)
    column.comma_like = any(row["comma_like"] for row in found)
    column.missing = {row["word"]: row["rows"] for row in found if row["kind"] == "word"}
    by_kind = {row["kind"]: row for row in found if row["kind"] not in (*WITHOUT_VALUE, "word")}
    decide(column, by_kind)
    if column.type == "text":
        keep_words(column, by_kind)
    look_at_blanks(column, found, bool(by_kind))
    if column.missing:
        column.notes.append("NULL: " + ", ".join(f"{rows:,} × {word}" for word, rows in column.missing.items()))


def keep_words(column: Column, by_kind: Kinds) -> None:
    """In text, some of the words for "no value" are values."""
    words = column.missing
    column.missing = {word: rows for word, rows in words.items() if word in MISSING_IN_TEXT}
    if "NA" in column.missing and by_kind and all(row["short_codes"] for row in by_kind.values()):
        del column.missing["NA"]
        column.notes.append("NA is kept as a value: all values are codes of two letters, as those of countries")
    column.kept = {word: rows for word, rows in words.items() if word not in column.missing}
    column.notes += [f'"{word}" is kept as a value' for word in column.kept if word != "NA"]


def look_at_blanks(column: Column, found: list[dict[str, Any]], has_values: bool) -> None:
    """Are there blanks around values, and must they go?"""
    rows = [row for row in found if row["kind"] not in ("empty", "quoted empty")]
    column.padded = has_values and all(row["padded"] for row in rows)
    column.needs_trim = any(row["blanks"] for row in found if row["word"] in column.missing)
    if column.type != "text":
        column.needs_trim |= bool(column.blank)
    elif not column.padded and (column.blank or any(row["blanks"] for row in rows)):
        column.notes.append(BLANKS_KEPT)


def decide(column: Column, by_kind: Kinds) -> None:
    """Set type and notes from the kinds of value {kind: row of kinds_query}: digits that are no number come first."""
    kinds = by_kind.keys()
    digits = sorted(kinds & DIGITS.keys())
    if not kinds:
        column.notes.append("text: no value to judge by")
    elif digits and kinds <= NUMBERS | COMMAS | DIGITS.keys():
        column.notes.append("text: " + ", ".join(f"{DIGITS[kind]} ({by_kind[kind]['example']})" for kind in digits))
    elif kinds == {"integer"}:
        decide_integer(column, by_kind["integer"])
    elif kinds <= NUMBERS or (kinds <= COMMAS and "comma" in kinds):
        decide_fraction(column, by_kind)
    elif kinds & THOUSANDS and kinds <= {"integer", "decimal", "grouped"} | THOUSANDS:
        odd = by_kind.get("thousands") or by_kind["three"]
        column.notes.append(f"text: commas for thousands, or for decimals ({odd['example']})")
    elif kinds <= DAYS:
        decide_days(column, by_kind)
    else:
        decide_others(column, by_kind)


def decide_integer(column: Column, row: dict[str, Any]) -> None:
    """A number, unless the column's name says that its digits are a code."""
    words = {*re.split(r"[^a-z]+", column.name), re.sub(r"[^a-z]+", "", column.name)}
    if row["longest"] >= CODE_LENGTH and words & CODES:
        column.notes.append(f"text: by its name a code, not a number ({row['example']})")
    else:
        column.type = "integer" if row["largest"] <= 2**31 - 1 else "bigint"


def decide_fraction(column: Column, by_kind: Kinds) -> None:
    column.type = "double precision"
    if any(row["inexact"] for row in by_kind.values()):
        column.type = "numeric"
        column.notes.append("numeric: double precision would round some values")
    if "comma" in by_kind:
        column.decimal_comma = True
        column.notes.append(f"decimal comma ({by_kind['comma']['example']})")
    elif by_kind.keys() <= {"grouped", "integer"}:
        column.notes.append(f"the dot is read as a decimal point ({by_kind['grouped']['example']})")


def decide_days(column: Column, by_kind: Kinds) -> None:
    """Dates such as 1/2/2026: is the day first? Known where some value can be read in one way only."""
    orders = {kind.removesuffix(" time") for kind in by_kind} - {"either"}
    if len(orders) > 1:
        column.notes.append("text: in some dates the day comes first, in some the month")
        return
    column.type = "timestamp" if any(kind.endswith(" time") for kind in by_kind) else "date"
    column.order = orders.pop() if orders else "either"
    column.date = by_kind[min(by_kind)]["example"]
    column.notes.append(f"{column.type}: {column.order} ({column.date})")


def decide_others(column: Column, by_kind: Kinds) -> None:
    """Truth values, and times with the year first; else note what keeps the column from being what most values are."""
    kinds = by_kind.keys()
    if kinds == {"boolean"} or (kinds == {"letter"} and by_kind["letter"]["values"] > 1):
        column.type = "boolean"
        column.notes += ["boolean: t and f"] * ("letter" in kinds)
    elif kinds == {"named"}:
        column.type = "date"
    elif len(kinds) == 1 and kinds <= {"date", "timestamp", "timestamptz"}:
        (column.type,) = kinds
    elif kinds == {"date", "timestamp"}:
        column.type = "timestamp"
        column.notes.append("timestamp: some values are a date alone and get 00:00")
    elif kinds == {"timestamp", "timestamptz"}:
        column.notes.append("text: some times have a time zone, some have none")
    else:
        say_why_text(column, by_kind)


def say_why_text(column: Column, by_kind: Kinds) -> None:
    """Note what keeps a column from being numbers or dates, where most of its values are some."""
    usual, *others = sorted(by_kind, key=lambda kind: by_kind[kind]["rows"], reverse=True)
    if not others or usual in ("other", "boolean", "letter", *DIGITS):
        return
    rows, total = sum(by_kind[kind]["rows"] for kind in others), sum(row["rows"] for row in by_kind.values())
    if rows < 0.5 * total:
        whole = "whole numbers" if usual == "integer" else "dates"
        label = "numbers" if usual in ("decimal", "grouped", "comma", "three") else whole
        odd = shown(by_kind[others[0]]["example"])
        column.notes.append(f"text: {rows:,} of {total:,} values are no {label}, for example {odd}")


def settle_days(columns: list[Column]) -> str | None:
    """One order of day and month for the whole file, as PostgreSQL reads with one DateStyle: "DMY", "MDY" or None."""
    known = [column.order for column in columns if column.order not in ("", "either")]
    order = max("day first", "month first", key=known.count)
    for column in columns:
        if column.order == "either" and known:
            column.notes[0] = f"{column.type}: {order}, as in other columns ({column.date})"
        elif column.order == "either":
            column.type = "text"
            column.notes[0] = f"text: {column.date} can be read with the day or the month first; nothing tells which"
        elif column.order not in ("", order):
            column.type = "text"
            column.notes[0] = "text: the order of day and month is another than in other columns of dates"
    return None if not known else "DMY" if order == "day first" else "MDY"


def settle_blanks(columns: list[Column], rows: int) -> bool:
    """Are blanks around values removed, in all columns? Then what the columns of text note of them goes too."""
    behind = [column.padded for column in columns[1:] if column.empty < rows]
    if not (behind and all(behind)) and not any(column.needs_trim for column in columns):
        return False
    for column in columns:
        if column.type == "text":
            column.notes = [note for note in column.notes if note != BLANKS_KEPT]
            column.empty, column.blank = column.empty + column.blank, 0
    return True
