"""How a file of rows is written: encoding, delimiter, quotes, and where the table begins."""

import codecs
import collections
import contextlib
import csv
import dataclasses
import io
import itertools
import re
import unicodedata
from pathlib import Path
from typing import Any

from dsproj.database import rewriting
from dsproj.database.data_files import check_start, lines_before, unpacked
from dsproj.database.normalise import BLOCK, decoded
from dsproj.errors import Problem
from dsproj.kernel.schema.header import has_header, is_number, title_above

DELIMITERS = ",;\t|"
BLANKS = " "  # as a delimiter: any number of blanks or tabs
SAMPLE = 1 << 18  # bytes from which delimiter and quotes are found; the whole file is then held to them
ROWS = 2000
# What directives call the types of columns.
TYPES = set(
    "numeric categorical string text str int integer long float double number bool boolean date datetime".split()
)
MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
HIGH = re.compile(rb"[\x80-\xff]")
CONTROL = re.compile(rb"[\x01-\x08\x0e-\x19\x1b-\x1f]")  # in no text, but for a stray one
EITHER = rewriting.EITHER.decode()
SAY_IT = "say what it is: make dataset SOURCE=… ENCODING=NAME"


@dataclasses.dataclass
class Dialect:
    """Characters are empty where the file has none."""

    encoding: str
    delimiter: str
    quote: str
    escape: str
    first_rows: list[list[str]]
    skip: int  # lines before the table: comments, or Excel's note of the delimiter
    short_header: bool  # the first row has a value less than all others: R's row names have no title
    plain: bool  # may COPY and DuckDB read the file as it lies there?

    @property
    def printed_delimiter(self) -> str:
        """The one between the values that normalise.py prints."""
        return "\t" if self.delimiter == BLANKS else self.delimiter


def find_encoding(path: Path, given: str) -> tuple[str, bool]:
    """(Python's name of the encoding, is the file plain UTF-8?) after reading all of it. Raises a Problem."""
    with open(path, "rb") as raw, unpacked(path) as file:
        start = file.read(1 << 16)
        packed = raw.read(64) != start[:64]
    check_start(start)
    if name := given or encoding_by_start(start):
        check_encoding(path, name)
        return name, False
    plain = not packed and not start.startswith(codecs.BOM_UTF8)
    decoder, line, before = codecs.getincrementaldecoder("utf-8")(), 1, b"\n"
    with unpacked(path) as file:
        while block := file.read(BLOCK):
            if b"\0" in block:
                line += lines_before(block, block.index(0))
                raise Problem(f"line {line} has a NUL byte: this is no text file, or a damaged one")
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return other_encoding(path, line + lines_before(block, error.start)), False
            # The normaliser would change nothing: no line ends of Windows, no quotes, no blank lines.
            plain = plain and not any(mark in before + block for mark in (b"\r", b'"', b"\n\n"))
            line, before = line + lines_before(block, len(block)), block[-1:]
    if decoder.getstate()[0]:
        return other_encoding(path, line), False
    return "utf-8", plain


def encoding_by_start(start: bytes) -> str:
    """UTF-16, by its mark or by the zeros of plain letters; else ""."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[0::2])):
        if len(start) > 3 and zeros.count(0) > len(zeros) * 0.6:
            return name
    return ""


def other_encoding(path: Path, line: int) -> str:
    """What a file is that is not UTF-8: Windows-1252 (the larger Latin-1), or damaged UTF-8."""
    right = wrong = controls = 0
    with unpacked(path) as file:
        while block := file.read(BLOCK):
            rest, count = MULTIBYTE.subn(b"", block)
            right, wrong = right + count, wrong + len(HIGH.findall(rest))
            controls += len(CONTROL.findall(rest))
    if right > wrong:
        raise Problem(f"line {line} is not UTF-8, though the rest of the file is: mend it, or {SAY_IT}")
    if controls * 5 > wrong:
        raise Problem(f"line {line} is not UTF-8, and the file has control characters as no text has: {SAY_IT}")
    try:
        check_encoding(path, "cp1252")
    except Problem:
        said = f"line {line} is neither UTF-8 nor Windows-1252 (Western European)"
        if likely := likely_encoding(path):
            raise Problem(f"{said}, it may be {likely}: make dataset SOURCE=… ENCODING={likely}") from None
        raise Problem(f"{said}: {SAY_IT}") from None
    return "cp1252"


def likely_encoding(path: Path) -> str:
    """Python's name of the encoding that the letters of the file speak for, "" where none does. It is a guess."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:  # while a project is generated; there is no suggestion then
        return ""
    with unpacked(path) as file:
        # Lines that are no plain letters tell; the others only take time.
        lines = [line for line in file.read(16 * SAMPLE).splitlines(keepends=True) if HIGH.search(line)]
    best = from_bytes(b"".join(lines)[:SAMPLE]).best()
    return best.encoding if best else ""


def letters_of_another(path: Path) -> tuple[str, str]:
    """(encoding, some of its words) for a file that can be read as Windows-1252 too, and has no Latin letters then."""
    if not (likely := likely_encoding(path)):
        return "", ""
    with unpacked(path) as file:
        text = file.read(SAMPLE).decode(likely, errors="ignore")
    words = [word for word in re.findall(r"[^\W\d_]{2,}", text) if not word.isascii()]
    names = [unicodedata.name(letter, "") for word in words for letter in word if not letter.isascii()]
    foreign = len(words) > 2 and not any("LATIN" in name or not name for name in names)
    return (likely, ", ".join(words[:3])) if foreign else ("", "")


def check_encoding(path: Path, encoding: str) -> None:
    """Raise Problem where there is no such encoding of text, or the file is not written in it."""
    try:
        if not codecs.lookup(encoding)._is_text_encoding:  # hex, base64 and such are codecs too
            raise LookupError
    except LookupError:
        raise Problem(f"no encoding is called {encoding}: names are, for example, utf-8, cp1252, shift_jis") from None
    with unpacked(path) as file:
        for text in decoded(iter(lambda: file.read(BLOCK), b""), encoding, check=True):
            if b"\0" in text:
                raise Problem("the file has NUL bytes: this is no text file, or its encoding is another one")


def read_sample(path: Path, encoding: str) -> str:
    """The first lines as text, the last one whole unless the file ends there."""
    with unpacked(path) as file:
        text = codecs.getincrementaldecoder(encoding)().decode(file.read(SAMPLE)).removeprefix("\ufeff")
        complete = not file.read(1)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if complete else text[: text.rfind("\n") + 1] or text


def find_quote(text: str, delimiter: str) -> tuple[str, str]:
    """(quote, escape) that values are enclosed in, or ("", "")."""
    for quote in filter(text.__contains__, "\"'"):
        edge = re.escape(delimiter)
        begin = len(re.findall(rf"(?:^|{edge}) *{quote}", text, re.M))
        whole = len(re.findall(rf"(?:^|{edge}) *{quote}[^{quote}\n]*{quote} *(?={edge}|$)", text, re.M))
        if begin and (quote == '"' or whole > 0.9 * begin):
            backslash = len(re.findall(rf"[^{edge}\n\\]\\{quote}(?! *(?:{edge}|$))", text, re.M))
            before_none = len(re.findall(rf"[^{edge}\n\\]\\{quote}(?!{quote}| *(?:{edge}|$))", text, re.M))
            doubled = len(re.findall(rf"[^{edge}\n\\]{quote}{quote}(?! *(?:{edge}|$))", text, re.M))
            if before_none and doubled and quote == '"':
                return quote, EITHER
            return quote, "\\" if backslash > doubled else ""
    return "", ""


def split(text: str, delimiter: str, quote: str, escape: str) -> list[list[str]]:
    """The first rows of a text, blank lines left out, up to one that is broken."""
    style: dict[str, Any] = {"quotechar": quote, "skipinitialspace": True} if quote else {"quoting": csv.QUOTE_NONE}
    if escape:
        style |= {"escapechar": "\\", "doublequote": escape == EITHER}
    rows = []
    with contextlib.suppress(csv.Error):
        for row in itertools.islice(filter(None, csv.reader(io.StringIO(text), delimiter=delimiter, **style)), ROWS):
            rows.append(row)
    return rows


def find_dialect(path: Path, given: str) -> Dialect:
    """Read the file once for its encoding, and its begin for the rest. Raises a Problem."""
    csv.field_size_limit(1 << 27)
    encoding, plain = find_encoding(path, given)
    text = read_sample(path, encoding)
    if not text.strip():
        raise Problem("the file is empty: it holds nothing but blank lines")
    skip, delimiters = lines_above(text)
    text = text.split("\n", skip)[skip]
    if not text.strip():
        raise Problem(f"there is nothing but comments or Excel's sep=: {skip} line{'s' * (skip > 1)}")
    delimiter = find_delimiter(text, delimiters, skip)
    if delimiter == BLANKS:
        text = "\n".join(" ".join(line.split()) for line in text.removeprefix("# ").split("\n"))
    quote, escape = find_quote(text, delimiter)
    rows = split(text, delimiter, quote, escape)
    place = missing_title(rows) if len(rows[0]) > 1 else None
    if place is not None:
        rows[0].insert(place, "")
    plain = plain and not quote and not skip and delimiter != BLANKS
    return Dialect(encoding, delimiter, quote, escape, rows, skip, place is not None, plain)


def find_delimiter(text: str, delimiters: str, skip: int) -> str:
    """The one by which the most rows are of one width. Raises a Problem where a title stands above the table."""
    tried: dict[str, tuple[float, int]] = {}
    title = ""
    for delimiter in delimiters:
        rows = split(text, delimiter, *find_quote(text, delimiter))
        if rows and len(rows[0]) > 1:
            share, width = share_of_rows(rows)
            if share >= 0.5 or width > 2:
                tried[delimiter] = share, width
        elif len(rows) > 3:
            title = title_above(rows, skip) or title
    if tried:
        return max(tried, key=tried.__getitem__)
    if title:
        raise Problem(title)
    if is_separated_by_blanks(text.removeprefix("# ")):
        return BLANKS
    # One column: any character that does not occur.
    return next((character for character in DELIMITERS if character not in text), "\x1f")


def share_of_rows(rows: list[list[str]]) -> tuple[float, int]:
    """(share of the rows that have a width, from 0 to 1, that width), of the first row's or the most common one's."""
    width = len(rows[0])
    if missing_title(rows) is not None:
        return 1.0, width + 1
    widths = collections.Counter(map(len, rows))
    usual, number = widths.most_common(1)[0]
    # Where the header is of another width than the rows, reading them will tell.
    return max(widths[width], number if usual > 1 else 0) / len(rows), width


def lines_above(text: str) -> tuple[int, str]:
    """(lines to leave out before the table, characters that may be the delimiter, of which COPY takes ASCII alone)."""
    if named := re.match(r'"?sep=(\t|[^\w\s"\'\\.+-])"?\n', text, re.I | re.A):
        return 1, named[1] if named[1].isascii() else DELIMITERS
    lines = text.split("\n", ROWS)
    count = next((number for number, line in enumerate(lines) if not line.startswith("#")), 0)
    if not count:
        return 0, DELIMITERS
    if not any(map(lines[count].count, DELIMITERS)):
        return count - names_words(lines[count - 1 :]), DELIMITERS
    # Lines of as many values as the rows may belong to them: "#name,age" above the rows, colours such as #ff0000.
    delimiter = max(DELIMITERS, key=lines[count].count)
    values = lines[count].count(delimiter)
    alike = [values > 0 and line.count(delimiter) == values for line in lines[:count]]
    below = split("\n".join(lines[count:]), delimiter, *find_quote(text, delimiter))
    if not alike[-1] or is_note(lines[:count], delimiter) and names_numbers(below):
        return count, DELIMITERS
    return 0 if all(alike) else count - 1, DELIMITERS


def is_note(lines: list[str], delimiter: str) -> bool:
    """Is the last of some lines that begin with # beside the table, rather than its header?"""
    unnamed = any(not cell.strip() for cell in lines[-1].split(delimiter)[1:])
    return lines[-1].startswith("# ") or unnamed or are_directives(lines, delimiter)


def are_directives(lines: list[str], delimiter: str) -> bool:
    """Do lines that begin with # speak of the columns: of their types ("#q2:types", "#datatype"), or several of them?"""
    words = {word.strip().lower() for word in lines[-1].split(delimiter)[1:]} - {""}
    return len(lines) > 1 or bool(words) and words <= TYPES


def names_words(lines: list[str]) -> bool:
    """Does the first line, a comment, name what the others have? "# x y" above numbers does, as numpy writes it."""
    names, *rows = [line.lstrip("# ").split() for line in lines]
    return len(names or ["#"]) == len(rows[0]) and not has_header(rows)


def names_numbers(rows: list[list[str]]) -> bool:
    """Is the first row a header without a doubt, with names above numbers?"""
    return has_header(rows) and any(map(is_number, (cell for row in rows[1:] for cell in row)))


def missing_title(rows: list[list[str]]) -> int | None:
    """Where the first row lacks a value that all others have: 0 for names of rows, as R writes them; else None."""
    first, rest = rows[0], rows[1:]
    if {len(row) for row in rest} != {len(first) + 1}:
        return None
    if not any(row[-1] for row in rest):
        return len(first)  # every row but the first ends with a delimiter
    return 0 if len(rest) > 1 and len({row[0] for row in rest}) == len(rest) else None


def is_separated_by_blanks(text: str) -> bool:
    """Several words in every line, equally many, and most of them numbers or in quotes, or all those of a column?"""
    rows = list(filter(None, (re.findall(r'"[^"]*"|\S+', line) for line in text.split("\n")[:ROWS])))
    widths = collections.Counter(map(len, rows[1:] or rows))  # the header may lack a name for those of the rows
    width, number = widths.most_common(1)[0]
    if number <= 0.9 * widths.total() or width < 2:
        return False
    words = [word for row in rows for word in row]
    named = width > 2 or '" "' in text.partition("\n")[0]
    if named and sum(word[0] == '"' or is_number(word) for word in words) > 0.5 * len(words):
        return True
    return (
        {len(row) for row in rows} == {width} and len(rows) > 2 and any(map(all_numbers, zip(*rows[1:], strict=True)))
    )


def all_numbers(column: tuple[str, ...]) -> bool:
    return all(map(is_number, column))
