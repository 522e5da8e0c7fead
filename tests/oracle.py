"""Is a table what the file says? An oracle of the standard library alone, which shares no code with kernel/schema.

The file is split by csv, with the delimiter by which most lines have one width; every value is compared by what it says:
numbers as decimals, dates in the order that the column itself shows.
"""

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections import Counter
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

csv.field_size_limit(1 << 27)
MISSING = {
    "",
    "na",
    "nan",
    "n/a",
    "null",
    "none",
    "nil",
    "?",
    "-",
    "--",
    ".",
    "..",
    "...",
    "#n/a",
    "<na>",
    "\\n",
    "n.a.",
    "-nan",
}
MISSING |= {"1.#ind", "-1.#ind", "1.#qnan", "#na", "#null!", "#value!", "#div/0!"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
CODE = re.compile(r"[+-]?0\d+(\.\d*)?|\+\d{6,}")  # its digits are lost as a number
DAY = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:[ ,T]+(.*))?")


def content(path):
    """The file's bytes, unpacked by what they begin with."""
    raw = path.read_bytes()
    for magic, opener in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ", lzma)):
        if raw.startswith(magic):
            return opener.decompress(raw)
    if raw.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            (name,) = [each for each in archive.namelist() if not each.startswith("__MACOSX/")]
            return archive.read(name)
    return raw


def text_of(path, encoding=None):
    raw = content(path)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    for name in filter(None, (encoding, "utf-8-sig", "cp1252", "latin-1")):
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue


def rows_of(path, encoding=None, delimiter=None, skip=None, quote='"', escape=None):
    """(delimiter, all rows with something in them) as csv splits them; comment lines above are left out."""
    text = text_of(path, encoding)
    if named := re.match(r"sep=(.)\r?\n", text, re.I):
        delimiter, text = named[1], text[named.end() :]
    lines = text.splitlines(keepends=True)
    if skip is None:
        skip = next((number for number, line in enumerate(lines) if not line.startswith("#")), 0)
    text = "".join(lines[skip:])

    def split(mark):
        if mark == " ":
            return [line.split() for line in text.splitlines() if line.strip()]
        style = {"escapechar": escape, "doublequote": False} if escape else {}
        read = csv.reader(
            io.StringIO(text, newline=""), delimiter=mark, quotechar=quote, skipinitialspace=True, **style
        )
        return [row for row in read if row and (len(row) > 1 or row[0].strip())]

    if delimiter:
        return delimiter, split(delimiter)
    tried = {}
    for mark in ",;\t| ":
        rows = split(mark)
        width, number = Counter(map(len, rows)).most_common(1)[0]
        numeric = sum(bool(NUMBER.fullmatch(cell)) for row in rows[:200] for cell in row)
        if width > 1 and number > 0.7 * len(rows) and (mark != " " or numeric > 0.4 * width * min(200, len(rows))):
            tried[mark] = (number / len(rows) if mark != " " else 0, width)
    mark = max(tried, key=tried.get) if tried else "\x1f"
    return mark, split(mark)


def is_missing(text):
    return text.strip().lower() in MISSING


def order_of(texts):
    """The order of day and month that a column's values show: "day", "month", "either" (also without such dates), or None (both)."""
    found = set()
    for text in texts:
        match = DAY.fullmatch(text.strip())
        if not match:
            continue
        first, second = int(match[1]), int(match[3])
        if first > 12:
            found.add("day")
        elif second > 12:
            found.add("month")
    return None if len(found) > 1 else found.pop() if found else "either"


def decimal_of(text):
    text = text.strip().replace("\u2212", "-")
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text) and (text.count(",") > 1 or "." in text):
        text = text.replace(",", "")
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def says(text, value, order=None, comma=""):
    """Is this value what a cell says? comma: "decimal" or "thousands", what the reader takes commas for in this column."""
    bare = text.strip()
    if value is None:
        return is_missing(bare)
    if isinstance(value, str):
        return value.strip() == bare
    if isinstance(value, bool):
        return bare.lower() in ({"true", "t", "yes", "y", "1"} if value else {"false", "f", "no", "n", "0"})
    if isinstance(value, (date, datetime)):
        return is_date(bare, value, order)
    if CODE.fullmatch(bare):
        return False
    if comma:
        bare = bare.replace(".", "").replace(",", ".") if comma == "decimal" else bare.replace(",", "")
    if bare.lower().lstrip("+-") in ("inf", "infinity", "nan"):
        return float(bare) == value or bare.lower().endswith("nan")
    number = decimal_of(bare)
    if number is None:
        return False
    if isinstance(value, float):
        whole = number.is_finite() and number == number.to_integral_value() and "e" not in bare.lower()
        return Decimal(value) == number if whole else number.is_finite() and float(number) == value
    return number == value


def is_date(text, value, order):
    if match := DAY.fullmatch(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        wanted = {"day": (year, second, first), "month": (year, first, second)}.get(order)
        return wanted == (value.year, value.month, value.day)
    iso = text.replace("/", "-") if re.match(r"\d{4}/", text) else text
    try:
        stamp = datetime.fromisoformat(iso)
    except ValueError:
        stamp = None
        for form in ("%d-%b-%Y", "%d %b %Y", "%d-%B-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"):
            try:
                stamp = datetime.strptime(text, form)
            except ValueError:
                continue
    if stamp is None:
        return False
    given = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    if given.tzinfo and stamp.tzinfo:
        return given == stamp
    return given.replace(tzinfo=None) == stamp.replace(tzinfo=None)


def is_number_column(texts):
    """Do all values say plain numbers, none of them a code?"""
    there = [text.strip() for text in texts if not is_missing(text)]
    return bool(there) and all(NUMBER.fullmatch(text) and not CODE.fullmatch(text) and len(text) < 19 for text in there)


def wrong(texts, values, comma=""):
    """The cells of a column that a table has otherwise than the file: [(text, value), …]."""
    order = order_of(texts)
    return [pair for pair in zip(texts, values, strict=True) if not says(*pair, order, comma)]
