"""The PostgreSQL type of each column of a file: never narrower than a value, and text where digits name."""

# Which kinds of values a column has (see kinds.py) decides its type.

import collections
import dataclasses
import re
from typing import Any

from dsproj.kernel.schema.kinds import MISSING_IN_TEXT, MOST, kinds_of

Kinds = dict[str, dict[str, Any]]  # of the values in one column: a row of kinds_of for each

# Codes that are written with digits alone, by the words of the column's name; and numbers of phones, where the name ends so
# (mobile_users are counted).
CODES = frozenset("zip zipcode postcode postalcode plz postal fips ssn isbn iban ean gtin upc cusip imei".split())
CODE_LENGTH = 4
PHONES = re.compile(r"(?:.*_)?(?:tele)?(?:phone|tel|mobile|fax)_?(?:number|num|no|nr)?(?:_?\d+)?")
FAMILIES = {
    "number": "integer grouped decimal infinite comma three dotted thousands".split(),
    "date": [order + time for order in ("day first", "month first", "either") for time in ("", " time")]
    + ["date", "timestamp", "timestamptz", "named"],
    "truth value": ["boolean"],
}
NUMBERS = {"integer", "grouped", "decimal", "infinite"}
COMMAS = {"comma", "three", "dotted", "integer", "grouped"}
THOUSANDS = {"thousands", "three"}
DIGITS = {"leading zeros": "leading zeros", "phone": "phone numbers", "long": "longer than 18 digits"}
DAYS = set(FAMILIES["date"][:6])
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
    blanks: list[str] = dataclasses.field(default_factory=list)  # what those rows have
    missing: dict[str, int] = dataclasses.field(default_factory=dict)  # words that become NULL: rows
    kept: dict[str, int] = dataclasses.field(default_factory=dict)  # the same words where they are values
    notes: list[str] = dataclasses.field(default_factory=list)
    decimal_comma: bool = False
    comma_like: bool = False  # has values that normalise.py would change if it were told that commas are decimal
    thousands: bool = False  # 1,234.5 is 1234.5
    grouped_like: bool = False  # has values that normalise.py would change if it were told so
    commas: str = ""  # a value such as 1,234, where nothing in the column tells what its comma is
    largest: int = 0  # its largest number then
    bad: list[str] = dataclasses.field(default_factory=list)  # what stands in the way of a type: different values
    bad_rows: int = 0  # how many there are
    bad_note: str = ""  # what to say of them
    few: bool = False  # few enough to mend, or to take for missing
    nulled: bool = False  # they are taken for missing
    padded: bool = False  # begins with a blank in every row
    needs_trim: bool = False
    order: str = ""  # of dates of the form 1/2/2026: "day first", "month first", or "either" where both can be read
    date: str = ""  # one of them

    @property
    def nulls(self) -> int:
        """Rows that will hold NULL, blanks in text aside: those depend on the whole file."""
        known = self.empty + sum(self.missing.values()) + self.bad_rows * self.nulled
        return known + (self.quoted_empty + self.blank if self.type != "text" else 0)


def shown(text: str, longest: int = 40) -> str:
    """A value for a message: printable, in one line, not too long."""
    text = "".join(character if character.isprintable() else "·" for character in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def examine(connection: Any, table: str, columns: list[Column], bad: str = "") -> None:
    """Fill `columns` from a table of a DuckDB connection: text, the values of each are in c<number>.

    bad: "null" takes the few cells that keep a column from its type for missing.
    """
    cursor = kinds_of(connection, table, len(columns))
    names = [field[0] for field in cursor.description]
    found = collections.defaultdict(list)
    for row in cursor.fetchall():
        found[row[0]].append(dict(zip(names, row, strict=True)))
    for column in columns:
        fill(column, found[f"c{column.number}"], bad == "null")
    settle_commas(columns)
    for column in columns:
        settle_words(column, found[f"c{column.number}"])


def fill(column: Column, found: list[dict[str, Any]], nulls: bool) -> None:
    """Decide about the type of one column, by its rows of kinds_of."""
    count = {row["kind"]: row["rows"] for row in found}
    column.empty, column.quoted_empty, column.blank = (count.get(kind, 0) for kind in WITHOUT_VALUE)
    column.blanks = [blank for row in found if row["kind"] == "blank" for blank in row["some"]]
    column.comma_like = any(row["comma_like"] for row in found)
    column.grouped_like = any(row["grouped_like"] for row in found)
    column.missing = {row["word"]: row["rows"] for row in found if row["kind"] == "word"}
    by_kind = values_by_kind(found)
    decide(column, by_kind)
    if column.type == "text":
        look_at_bad_cells(column, by_kind, nulls)


def values_by_kind(found: list[dict[str, Any]]) -> Kinds:
    return {row["kind"]: row for row in found if row["kind"] not in (*WITHOUT_VALUE, "word")}


def settle_words(column: Column, found: list[dict[str, Any]]) -> None:
    """Which words mean that there is no value, and what is to be done about blanks; the type is known."""
    by_kind = values_by_kind(found)
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
    """Set type and notes from the kinds of value {kind: row of kinds_of}: digits that are no number come first."""
    kinds = by_kind.keys()
    digits = sorted(kinds & DIGITS.keys())
    if not kinds:
        column.notes.append("text: no value to judge by")
    elif digits and kinds <= NUMBERS | COMMAS | DIGITS.keys():
        note_digits(column, by_kind)
    elif kinds == {"integer"}:
        decide_integer(column, by_kind["integer"])
    elif kinds <= NUMBERS or (kinds <= COMMAS and "comma" in kinds):
        decide_fraction(column, by_kind)
    elif kinds & THOUSANDS and kinds <= {"integer", "decimal", "grouped"} | THOUSANDS:
        decide_thousands(column, by_kind)
    elif kinds <= DAYS:
        decide_days(column, by_kind)
    else:
        decide_others(column, by_kind)


def note_digits(column: Column, by_kind: Kinds) -> None:
    digits = sorted(by_kind.keys() & DIGITS.keys())
    column.notes.append("text: " + ", ".join(f"{DIGITS[kind]} ({by_kind[kind]['example']})" for kind in digits))


def decide_integer(column: Column, row: dict[str, Any]) -> None:
    """A number, unless the column's name says that its digits are a code."""
    words = {*re.split(r"[^a-z]+", column.name), re.sub(r"[^a-z]+", "", column.name)}
    phones = PHONES.fullmatch(column.name) and row["longest"] - row["shortest"] <= 1
    if row["shortest" if phones else "longest"] >= CODE_LENGTH and (phones or words & CODES):
        column.notes.append(f"text: by its name a code, not a number ({row['example']})")
    else:
        column.type = "integer" if row["largest"] <= 2**31 - 1 else "bigint"


def decide_thousands(column: Column, by_kind: Kinds) -> None:
    """1,234: a comma for thousands where two of them, or a point beside them, show it."""
    odd = by_kind.get("thousands") or by_kind["three"]
    if "thousands" in by_kind or "decimal" in by_kind:
        read_thousands(column, by_kind, odd["example"])
    else:
        column.notes.append(f"text: commas for thousands, or for decimals ({odd['example']})")
        column.commas = odd["example"] if "grouped" not in by_kind else ""
        column.largest = max(row["largest"] or 0 for row in by_kind.values())


def read_thousands(column: Column, by_kind: Kinds, example: str) -> None:
    column.thousands = True
    if {"decimal", "grouped"} & by_kind.keys() or any(row["fraction"] for row in by_kind.values()):
        decide_fraction(column, by_kind)
    else:
        column.type = "integer" if max(row["largest"] for row in by_kind.values()) <= 2**31 - 1 else "bigint"
    column.notes.append(f"commas for thousands ({example})")


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
        shown_in = [f"{kind.removesuffix(' time')}: {by_kind[kind]['example']}" for kind in sorted(by_kind)]
        column.notes.append(f"text: dates are written in several ways ({', '.join(shown_in)})")
        return
    column.type = "timestamp" if any(kind.endswith(" time") for kind in by_kind) else "date"
    column.order = orders.pop() if orders else "either"
    column.date = by_kind[min(by_kind)]["example"]
    column.notes.append(f"{column.type}: {column.order} ({column.date})")


def decide_others(column: Column, by_kind: Kinds) -> None:
    """Truth values, and times with the year first; else note what keeps the column from being what most values are."""
    kinds = by_kind.keys()
    if kinds == {"boolean"} or (kinds == {"letter"} and len(by_kind["letter"]["some"]) > 1):
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
    elif family := next((name for name, members in FAMILIES.items() if kinds <= {*members}), ""):
        examples = ", ".join(row["example"] for row in by_kind.values())
        column.notes.append(f"text: {family}s are written in several ways ({shown(examples, 90)})")


def look_at_bad_cells(column: Column, by_kind: Kinds, nulls: bool) -> None:
    """Which cells keep a column from being numbers, dates or truth values, where most of its values are some?"""
    total = rows_without([], by_kind)
    family, count = min(
        ((name, rows_without(members, by_kind)) for name, members in FAMILIES.items()), key=lambda pair: pair[1]
    )
    others = by_kind.keys() - FAMILIES[family]
    if not others or 2 * count >= total:
        return
    if by_kind.keys() & DIGITS.keys():
        if not column.notes:  # else `decide` has said it
            note_digits(column, by_kind)
        return
    column.bad_rows, column.bad = count, sum((by_kind[kind]["some"] for kind in sorted(others)), [])
    column.bad_note = f"{count:,} of {total:,} values {f'are no {family}s' if count > 1 else f'is no {family}'}"
    without = dataclasses.replace(column, notes=[])
    decide(without, {kind: row for kind, row in by_kind.items() if kind not in others})
    column.few = without.type != "text" and count <= max(1, total // 10) and len(column.bad) <= MOST
    if without.type == "text":
        column.notes += without.notes
    elif nulls and column.few:
        take_for_missing(column, without)


def rows_without(kinds: list[str], by_kind: Kinds) -> int:
    return sum(row["rows"] for kind, row in by_kind.items() if kind not in kinds)


def take_for_missing(column: Column, without: Column) -> None:
    """The bad cells of a column; `without` is what it is without them."""
    if any(re.search(r"[\x00-\x1f]", value) for value in column.bad):
        return  # the command that prints the rows is one line
    column.nulled, column.type, column.notes = True, without.type, without.notes
    for name in ("decimal_comma", "thousands", "commas", "largest", "order", "date"):
        setattr(column, name, getattr(without, name))


def settle_commas(columns: list[Column]) -> None:
    """1,234 alone says nothing: it is what other columns of the file show."""
    known = {name for name in ("thousands", "decimal_comma") if any(getattr(column, name) for column in columns)}
    for column in columns:
        if not column.commas or len(known) != 1:
            continue
        if "thousands" in known:
            column.type, column.thousands = "integer" if column.largest <= 2**31 - 1 else "bigint", True
            column.notes[0] = f"commas for thousands, as in other columns ({column.commas})"
        else:
            column.type, column.decimal_comma = "double precision", True
            column.notes[0] = f"decimal comma, as in other columns ({column.commas})"


def settle_days(columns: list[Column], given: str = "") -> str | None:
    """One order of day and month for the whole file, as PostgreSQL reads with one DateStyle: "DMY", "MDY" or None.

    given: the order where the file itself does not tell, "" if nobody does.
    """
    known, where = [column.order for column in columns if column.order not in ("", "either")], "other columns"
    if not known and given and any(column.order == "either" for column in columns):
        known, where = ["day first" if given == "DMY" else "month first"], "the table"
    order = max("day first", "month first", key=known.count)
    for column in columns:
        if column.order == "either" and known:
            column.notes[0] = f"{column.type}: {order}, as in {where} ({column.date})"
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
