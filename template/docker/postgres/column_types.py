"""The PostgreSQL type of each column of a table of text in DuckDB: never narrower than a value, and text where digits name.

Every distinct value of a column gets a kind ("integer", "leading zeros", "day first", ...) by the patterns below; which
kinds a column has decides its type. The values themselves are never converted here: PostgreSQL reads what the file says.
"""

import dataclasses
import re

from normalise import COMMA_NUMBER

# Words that stand for "no value" in columns of numbers, dates and truth values, in lower case; and those that do so in text
# as well, letter by letter: there Na is sodium, and Nan a town.
MISSING = (
    "?",
    "na",
    "n/a",
    "#n/a",
    "<na>",
    "null",
    "\\n",
    "nan",
    "none",
    "nil",
    "-",
    "--",
    ".",
    "#null!",
    "#value!",
    "#div/0!",
)
MISSING_IN_TEXT = ("?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "\\N", "NaN", "nan")

MONTH = "(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(tember)?|oct(ober)?|nov(ember)?|dec(ember)?)"
CLOCK = r":[0-5]\d(:[0-5]\d(\.\d{1,6})?)?"
TIME = r"([01]?\d|2[0-3])" + CLOCK
YEAR, DAY = r"[1-9]\d\d\d", r"\d\d?"
NUMBER_TIME = rf"(,? ({TIME}|(0?[1-9]|1[0-2]){CLOCK} ?[ap]m))"
ZONE = r"(z|[+-](0\d|1[0-4])(:?[0-5]\d)?)"
DAY_FORMATS = [f"{first}{mark}{second}{mark}%Y" for first, second in (("%d", "%m"),) for mark in "/-."]
NAMED_FORMATS = ["%d-%b-%Y", "%d %b %Y", "%d-%B-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"]

# (kind, condition on v, the value without blanks around it), the first that holds. Patterns do not mind case.
KINDS = [
    ("integer", r"-?(0|[1-9]\d{0,17})|\+(0|[1-9]\d{0,4})"),
    ("grouped", r"[+-]?[1-9]\d{0,2}\.\d{3}"),  # 1.234: a number with three decimals, or with a dot for thousands
    ("decimal", r"[+-]?((0|[1-9]\d*)\.\d*|\.\d+|((0|[1-9]\d*)\.?\d*|\.\d+)e[+-]?\d{1,4})"),
    ("leading zeros", r"[+-]?0\d+(\.\d*)?"),
    ("phone", r"\+\d{6,}"),
    ("long", r"-?\d{19,}"),
    ("infinite", r"[+-]?inf(inity)?"),
    ("thousands", r"[+-]?[1-9]\d{0,2}((,\d{3}){2,}(\.\d+)?|(,\d{3})+\.\d+)"),
    ("three", r"[+-]?[1-9]\d{0,2},\d{3}"),  # 1,234: a decimal comma, or one for thousands
    ("comma", r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+(e[+-]?\d{1,4})?"),
    ("dotted", r"[+-]?[1-9]\d{0,2}(\.\d{3}){2,}"),
    ("boolean", r"true|false"),
    ("letter", r"[tf]"),
    ("date", rf"{YEAR}(-\d\d-\d\d|/\d\d/\d\d)"),
    ("timestamp", rf"{YEAR}(-\d\d-\d\d|/\d\d/\d\d)[t ]{TIME}"),
    ("timestamptz", rf"{YEAR}-\d\d-\d\d[t ]{TIME} ?{ZONE}"),
    ("numbered", rf"{DAY}(/{DAY}/|-{DAY}-|\.{DAY}\.){YEAR}{NUMBER_TIME}?"),
    ("named", rf"({DAY}[- ]{MONTH}[- ]|{MONTH} {DAY},? ){YEAR}"),
]
# What most text is told by, without a look at the patterns.
NO_PATTERN = "length(v) > 45 OR NOT regexp_matches(v, '^[-+.,0-9tfijmasond]', 'i')"
DIGITS = "rtrim(ltrim(translate(split_part(lower({}), 'e', 1), '+-.', ''), '0'), '0')"

# Codes that are written with digits alone, by the words of the column's name.
CODES = {
    "zip",
    "zipcode",
    "postcode",
    "postalcode",
    "plz",
    "postal",
    "phone",
    "telephone",
    "phonenumber",
    "tel",
    "mobile",
    "fax",
}
CODES |= {"fips", "ssn", "isbn", "iban", "ean", "gtin", "upc", "cusip", "imei"}
CODE_LENGTH = 4


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
    missing: dict = dataclasses.field(default_factory=dict)  # words that become NULL: rows
    kept: dict = dataclasses.field(default_factory=dict)  # the same words where they are values
    notes: list = dataclasses.field(default_factory=list)
    decimal_comma: bool = False
    comma_like: bool = False  # has values that normalise.py would change if it were told that commas are decimal
    padded: bool = False  # begins with a blank in every row
    needs_trim: bool = False
    day_first: bool | None = None  # for dates of the form 1/2/2026: True, False, or None where it does not matter

    @property
    def nulls(self):
        """Rows that will hold NULL, blanks in text aside: those depend on the whole file."""
        return self.empty + sum(self.missing.values()) + (self.quoted_empty + self.blank if self.type != "text" else 0)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def kinds_query(table):
    """SQL: for each column of a table of text, and each kind of value in it, the rows, examples and bounds."""
    formats = ", ".join(map(quoted, DAY_FORMATS))
    named = ", ".join(map(quoted, NAMED_FORMATS))
    words = ", ".join(map(quoted, MISSING))
    patterns = "".join(
        f" WHEN regexp_full_match(v, {quoted(pattern)}, 'i') THEN {quoted(kind)}" for kind, pattern in KINDS
    )
    day = "regexp_extract(v, '^[0-9]+[-/.][0-9]+[-/.][0-9]{4}')"
    swapped = f"regexp_replace({day}, '^([0-9]+)([-/.])([0-9]+)', '\\3\\2\\1')"
    return f"""
WITH counted AS (
    SELECT name, raw, count(*) AS n FROM {table} UNPIVOT INCLUDE NULLS (raw FOR name IN (COLUMNS(*))) GROUP BY ALL
),
patterned AS (
    SELECT name, raw, n, trim(raw, E' \\t') AS v,
        CASE WHEN raw IS NULL THEN 'empty' WHEN raw = '' THEN 'quoted empty' WHEN v = '' THEN 'blank'
        WHEN lower(v) IN ({words}) THEN 'word' WHEN {NO_PATTERN} THEN 'other'{patterns} ELSE 'other' END AS pattern
    FROM counted
),
kinds AS (
    SELECT name, raw, n, v, CASE
        WHEN pattern IN ('date', 'timestamp', 'timestamptz') THEN
            CASE WHEN try_cast(replace(v[:10], '/', '-') AS DATE) IS NOT NULL THEN pattern ELSE 'other' END
        WHEN pattern = 'named' THEN CASE WHEN try_strptime(v, [{named}]) IS NOT NULL THEN pattern ELSE 'other' END
        WHEN pattern = 'numbered' THEN
            CASE WHEN try_strptime({day}, [{formats}]) IS NOT NULL
                THEN CASE WHEN v[3:5] NOT LIKE '%.%' AND try_strptime({swapped}, [{formats}]) IS NOT NULL
                    THEN 'either' ELSE 'day first' END
                WHEN v[3:5] NOT LIKE '%.%' AND try_strptime({swapped}, [{formats}]) IS NOT NULL THEN 'month first'
                ELSE 'other' END || CASE WHEN contains(v, ':') THEN ' time' ELSE '' END
        ELSE pattern END AS kind,
        CASE WHEN pattern IN ('comma', 'three', 'dotted') THEN replace(replace(v, '.', ''), ',', '.') ELSE v END AS u
    FROM patterned
)
SELECT name, kind, CASE WHEN kind = 'word' THEN v END AS word, sum(n)::BIGINT AS rows, count(*) AS values,
    min(v) AS example, min(length(v)) AS shortest, max(length(v)) AS longest,
    max(CASE WHEN kind = 'integer' THEN abs(v::BIGINT) END) AS largest,
    bool_or(CASE WHEN kind IN ('integer', 'grouped', 'decimal', 'comma', 'three', 'dotted')
        AND (length(u) > 15 OR contains(lower(u), 'e'))
        THEN {DIGITS.format("u")} IS DISTINCT FROM {DIGITS.format("try_cast(try_cast(u AS DOUBLE) AS VARCHAR)")} END) AS inexact,
    bool_or(regexp_matches(v, '[.,]') AND regexp_full_match(v, {quoted(COMMA_NUMBER.decode())})) AS comma_like,
    bool_or(raw <> v) AS blanks, bool_and(raw LIKE ' %') AS padded,
    bool_and(regexp_full_match(v, '[A-Z][A-Z]')) AS short_codes
FROM kinds GROUP BY ALL ORDER BY rows DESC"""


def examine(connection, table, columns):
    """Fill `columns` from a table of a DuckDB connection: text, the values of each are in c<number>."""
    cursor = connection.execute(kinds_query(table))
    names = [field[0] for field in cursor.description]
    found = {f"c{column.number}": [] for column in columns}
    for row in cursor.fetchall():
        found[row[0]].append(dict(zip(names, row, strict=True)))
    for column in columns:
        fill(column, found[f"c{column.number}"])


def fill(column, found):
    """Decide about one column, by its rows of kinds_query."""
    by_kind = {row["kind"]: row for row in found if row["kind"] != "word"}
    words = {row["word"]: row["rows"] for row in found if row["kind"] == "word"}
    column.empty = by_kind.pop("empty", {"rows": 0})["rows"]
    column.quoted_empty = by_kind.pop("quoted empty", {"rows": 0})["rows"]
    column.blank = by_kind.pop("blank", {"rows": 0})["rows"]
    column.comma_like = any(row["comma_like"] for row in found)
    if by_kind:
        decide(column, by_kind)
    else:
        column.notes.append("text: no value to judge by")
    rows = [row for row in found if row["kind"] not in ("empty", "quoted empty")]
    column.padded = bool(by_kind) and all(row["padded"] for row in rows)
    if column.type == "text":
        short_codes = bool(by_kind) and all(row["short_codes"] for row in by_kind.values())
        column.missing = {word: count for word, count in words.items() if word in MISSING_IN_TEXT}
        if short_codes and "NA" in column.missing:
            del column.missing["NA"]
            column.notes.append("NA is kept as a value: all values are codes of two letters, as those of countries")
        column.kept = {word: count for word, count in words.items() if word not in column.missing}
        for word in column.kept:
            if word != "NA":
                column.notes.append(f'"{word}" is kept as a value')
    else:
        column.missing = words
        column.needs_trim = bool(column.blank)
    column.needs_trim |= any(row["blanks"] for row in found if row["word"] in column.missing)
    if column.type == "text" and not column.padded and (column.blank or any(row["blanks"] for row in rows)):
        column.notes.append("blanks around values are kept")
    listed = ", ".join(f"{count:,} × {word}" for word, count in column.missing.items())
    if listed:
        column.notes.append(f"NULL: {listed}")


def decide(column, by_kind):
    """Set type and notes from the kinds of value {kind: row of kinds_query}."""
    kinds = set(by_kind)
    total = sum(row["rows"] for row in by_kind.values())

    def example(*names):
        return next(by_kind[name]["example"] for name in names if name in kinds)

    numbers = {"integer", "grouped", "decimal", "infinite"}
    commas = {"comma", "three", "dotted", "integer", "grouped"}
    days = {kind for kind in kinds if kind.removesuffix(" time") in ("day first", "month first", "either")}
    if names := kinds & {"leading zeros", "phone", "long"}:
        if kinds <= numbers | commas | {"leading zeros", "phone", "long"}:
            why = {"leading zeros": "leading zeros", "phone": "phone numbers", "long": "longer than 18 digits"}
            listed = ", ".join(f"{why[name]} ({example(name)})" for name in sorted(names))
            column.notes.append(f"text: {listed}")
        else:
            say_why_text(column, by_kind, total)
    elif kinds <= {"integer"}:
        if by_kind["integer"]["longest"] >= CODE_LENGTH and is_code(column):
            column.notes.append(f"text: by its name a code, not a number ({example('integer')})")
        else:
            column.type = "integer" if by_kind["integer"]["largest"] <= 2**31 - 1 else "bigint"
    elif kinds <= numbers or (kinds <= commas and "comma" in kinds):
        inexact = any(row["inexact"] for row in by_kind.values())
        column.type = "numeric" if inexact else "double precision"
        if inexact:
            column.notes.append("numeric: double precision would round some values")
        if "comma" in kinds:
            column.decimal_comma = True
            column.notes.append(f"decimal comma ({example('comma')})")
        elif kinds <= {"grouped", "integer"}:
            column.notes.append(f"the dot is read as a decimal point ({example('grouped')})")
    elif kinds <= {"integer", "decimal", "grouped", "thousands", "three"} and kinds & {"thousands", "three"}:
        column.notes.append(f"text: commas for thousands, or for decimals ({example('thousands', 'three')})")
    elif kinds == {"boolean"}:
        column.type = "boolean"
    elif kinds == {"letter"} and by_kind["letter"]["values"] > 1:
        column.type = "boolean"
        column.notes.append("boolean: t and f")
    elif kinds <= {"date", "timestamp"}:
        column.type = "timestamp" if "timestamp" in kinds else "date"
        if len(kinds) > 1:
            column.notes.append("timestamp: some values are a date alone and get 00:00")
    elif kinds == {"timestamptz"}:
        column.type = "timestamptz"
    elif kinds == {"timestamp", "timestamptz"}:
        column.notes.append("text: some times have a time zone, some have none")
    elif kinds == {"named"}:
        column.type = "date"
    elif days and kinds == days:
        decide_days(column, days, example)
    else:
        say_why_text(column, by_kind, total)


def decide_days(column, days, example):
    """Dates such as 1/2/2026: is the day first? Known where some value can be read in one way only."""
    orders = {kind.removesuffix(" time") for kind in days}
    kind = "timestamp" if any(name.endswith(" time") for name in days) else "date"
    if orders >= {"day first", "month first"}:
        column.notes.append("text: in some dates the day comes first, in some the month")
        return
    column.type = kind
    if orders == {"either"}:
        column.day_first = None
        column.notes.append(f"either: {example(*days)}")  # settled by settle_days, with the other columns known
    else:
        column.day_first = "day first" in orders
        column.notes.append(f"{kind}: {'day' if column.day_first else 'month'} first ({example(*sorted(days))})")


def settle_days(columns):
    """One order of day and month for the whole file, as PostgreSQL reads with one DateStyle: "DMY", "MDY" or None."""
    known = [column.day_first for column in columns if column.day_first is not None]
    order = None if not known else known.count(True) >= known.count(False)
    for column in columns:
        either = next((note for note in column.notes if note.startswith("either: ")), None)
        if either:
            column.notes.remove(either)
            text = either.removeprefix("either: ")
            if order is None:
                column.type = "text"
                column.notes.insert(0, f"text: {text} can be read with the day or the month first; nothing tells which")
            else:
                column.notes.insert(
                    0, f"{column.type}: {'day' if order else 'month'} first, as in other columns ({text})"
                )
        elif column.day_first is not None and column.day_first != order:
            column.type = "text"
            column.notes[:1] = ["text: the order of day and month is another than in other columns of dates"]
    return None if order is None else "DMY" if order else "MDY"


def is_code(column):
    words = set(re.split(r"[^a-z]+", column.name)) | {re.sub(r"[^a-z]+", "", column.name)}
    return bool(words & CODES)


def say_why_text(column, by_kind, total):
    """Note what keeps a column from being numbers or dates, where most of its values are some."""
    usual = max(by_kind, key=lambda kind: by_kind[kind]["rows"])
    if usual in ("other", "boolean", "letter", "leading zeros", "phone", "long"):
        return
    others = [row for kind, row in by_kind.items() if kind != usual]
    rows = sum(row["rows"] for row in others)
    if others and rows < 0.5 * total:
        label = {
            "integer": "whole numbers",
            "decimal": "numbers",
            "grouped": "numbers",
            "comma": "numbers",
            "three": "numbers",
        }.get(usual, "dates")
        odd = max(others, key=lambda row: row["rows"])["example"]
        column.notes.append(f"text: {rows:,} of {total:,} values are no {label}, for example {shown(odd)}")


def shown(text, longest=40):
    """A value for a message: printable, in one line, not too long."""
    text = "".join(character if character.isprintable() else "·" for character in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
