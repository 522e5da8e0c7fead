"""How a file of rows is written: encoding, delimiter, quotes, and whether its first row names the columns."""

import codecs
import collections
import csv
import dataclasses
import io
import re

from data_files import DataError, check_start, lines_before, unpacked
from normalise import BLOCK, decoded

DELIMITERS = ",;\t|"
BLANKS = " "  # as a delimiter: any number of blanks or tabs
SAMPLE = 1 << 18  # bytes from which delimiter and quotes are found; the whole file is then held to them
ROWS = 2000
MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
HIGH = re.compile(rb"[\x80-\xff]")


@dataclasses.dataclass
class Dialect:
    """Characters are empty where the file has none."""

    encoding: str
    delimiter: str
    quote: str
    escape: str
    first_rows: list  # of lists of str
    skip: int  # lines before the table: comments, or Excel's note of the delimiter
    short_header: bool  # the first row has a value less than all others: R's row names have no title
    plain: bool  # may COPY and DuckDB read the file as it lies there?

    @property
    def printed_delimiter(self):
        """The one between the values that normalise.py prints."""
        return "\t" if self.delimiter == BLANKS else self.delimiter


def find_encoding(path, given=None):
    """(Python's name of the encoding, is the file plain UTF-8?) after reading all of it. Raises DataError."""
    with unpacked(path) as file:
        start = file.read(1 << 16)
        check_start(start)
        plain = not is_packed(path) and not start.startswith(codecs.BOM_UTF8)
        if given:
            check_encoding(path, given)
            return given, False
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            check_encoding(path, "utf-16")
            return "utf-16", False
        for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[0::2])):
            if len(start) > 3 and zeros.count(0) > len(zeros) * 0.6:
                check_encoding(path, name)
                return name, False
        decoder, block, line, before = codecs.getincrementaldecoder("utf-8")(), start, 1, b"\n"
        while block:
            if b"\0" in block:
                raise DataError(
                    f"line {line + lines_before(block, block.index(0))} has a NUL byte: this is no text file, or a damaged one"
                )
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return other_encoding(path, line + lines_before(block, error.start)), False
            plain = plain and b"\r" not in block and b'"' not in block
            plain = plain and b"\n\n" not in block and not (before == b"\n" and block.startswith(b"\n"))
            line, before = line + lines_before(block, len(block)), block[-1:]
            block = file.read(BLOCK)
    if decoder.getstate()[0]:
        return other_encoding(path, line), False
    return "utf-8", plain


def is_packed(path):
    with open(path, "rb") as raw, unpacked(path) as file:
        return raw.read(64) != file.read(64)


def other_encoding(path, line):
    """What a file is that is not UTF-8: Windows-1252 (the larger Latin-1), or damaged UTF-8."""
    right = wrong = 0
    with unpacked(path) as file:
        while block := file.read(BLOCK):
            found = MULTIBYTE.findall(block)
            right += len(found)
            wrong += len(HIGH.findall(block)) - sum(map(len, found))
    if right > wrong:
        raise DataError(
            f"line {line} is not UTF-8, though the rest of the file is: mend it, or say what it is: make dataset SOURCE=… ENCODING=NAME"
        )
    try:
        check_encoding(path, "cp1252")
    except DataError:
        raise DataError(
            f"line {line} is neither UTF-8 nor Windows-1252 (Western European): say what it is: make dataset SOURCE=… ENCODING=NAME"
        ) from None
    return "cp1252"


def check_encoding(path, encoding):
    """Raise DataError where there is no such encoding of text, or the file is not written in it."""
    try:
        if not codecs.lookup(encoding)._is_text_encoding:  # hex, base64 and such are codecs too
            raise LookupError
    except LookupError:
        raise DataError(f"no encoding is called {encoding}: names are, for example, utf-8, cp1252, shift_jis") from None
    with unpacked(path) as file:
        for text in decoded(iter(lambda: file.read(BLOCK), b""), encoding, check=True):
            if b"\0" in text:
                raise DataError("the file has NUL bytes: this is no text file, or its encoding is another one")


def read_sample(path, encoding):
    """The first lines as text, the last one whole unless the file ends there."""
    with unpacked(path) as file:
        text = codecs.getincrementaldecoder(encoding)().decode(file.read(SAMPLE)).removeprefix("\ufeff")
        complete = not file.read(1)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if complete else text[: text.rfind("\n") + 1] or text


def find_quote(text, delimiter):
    """(quote, escape) that values are enclosed in, or ("", "")."""
    for quote in filter(text.__contains__, "\"'"):
        edge = re.escape(delimiter)
        begin = len(re.findall(rf"(?:^|{edge}) *{quote}", text, re.M))
        whole = len(re.findall(rf"(?:^|{edge}) *{quote}[^{quote}\n]*{quote} *(?={edge}|$)", text, re.M))
        if begin and (quote == '"' or whole > 0.9 * begin):
            backslash = len(re.findall(rf"[^{edge}\n\\]\\{quote}(?! *(?:{edge}|$))", text, re.M))
            doubled = len(re.findall(rf"[^{edge}\n]{quote}{quote}(?! *(?:{edge}|$))", text, re.M))
            return quote, "\\" if backslash > doubled else ""
    return "", ""


def split(text, delimiter, quote, escape):
    """The first rows of a text, blank lines left out."""
    style = (
        {"delimiter": delimiter, "quoting": csv.QUOTE_NONE}
        if not quote
        else {"delimiter": delimiter, "quotechar": quote}
    )
    if escape:
        style |= {"escapechar": escape, "doublequote": False}
    rows = []
    try:
        for row in csv.reader(io.StringIO(text), skipinitialspace=bool(quote), **style):
            if row:
                rows.append(row)
            if len(rows) == ROWS:
                break
    except csv.Error:
        pass
    return rows


def find_dialect(path, encoding=None):
    """Read the file once for its encoding, and its begin for the rest. Raises DataError."""
    csv.field_size_limit(1 << 27)
    encoding, plain = find_encoding(path, encoding)
    text = read_sample(path, encoding)
    if not text.strip():
        raise DataError("the file is empty: it holds nothing but blank lines")
    skip, delimiters = lines_above(text)
    if skip:
        text = text.split("\n", skip)[skip]
        if not text.strip():
            raise DataError(f"there is nothing but comments or Excel's sep=: {skip} line{'s' * (skip > 1)}")
    tried, below_a_title = {}, 0
    for delimiter in delimiters:
        quote, escape = find_quote(text, delimiter)
        rows = split(text, delimiter, quote, escape)
        if not rows:
            continue
        widths = collections.Counter(map(len, rows))
        width, (usual, number) = len(rows[0]), widths.most_common(1)[0]
        if width > 1 and missing_title(rows) is not None:
            tried[delimiter] = (1.0, width + 1)
        elif width > 1:  # where the header is of another width than the rows, reading them will tell
            tried[delimiter] = (max(widths[width], number if usual > 1 else 0) / len(rows), width)
        elif len(rows) > 3 and usual > 1 and number > 0.9 * (len(rows) - 1):
            below_a_title = usual
    tried = {delimiter: score for delimiter, score in tried.items() if score[0] >= 0.5 or score[1] > 2}
    if tried:
        delimiter = max(tried, key=tried.get)
    elif below_a_title:
        raise DataError(
            f"line {skip + 1} has 1 value, the others have {below_a_title}: is it a title above the table? Remove it"
        )
    elif is_separated_by_blanks(text):
        delimiter, text = BLANKS, "\n".join(" ".join(line.split()) for line in text.split("\n"))
    else:  # one column: any character that does not occur
        delimiter = next((character for character in DELIMITERS if character not in text), "\x1f")
    quote, escape = find_quote(text, delimiter)
    rows = split(text, delimiter, quote, escape)
    place = missing_title(rows) if len(rows[0]) > 1 else None
    if place is not None:
        rows[0].insert(place, "")
    plain = plain and not quote and not skip and delimiter != BLANKS
    return Dialect(encoding, delimiter, quote, escape, rows, skip, place is not None, plain)


def lines_above(text):
    """(lines to leave out before the table, characters that may be the delimiter, of which COPY takes ASCII alone)."""
    if named := re.match(r'"?sep=(\t|[^\w\s"\'\\.+-])"?\n', text, re.I | re.A):
        return 1, named[1] if named[1].isascii() else DELIMITERS
    lines = text.split("\n", ROWS)
    count = next((number for number, line in enumerate(lines) if not line.startswith("#")), 0)
    if not count:
        return 0, DELIMITERS
    # Lines of as many values as the rows may belong to them: "#name,age" above the rows, colours such as #ff0000.
    delimiter = max(DELIMITERS, key=lines[count].count)
    values = lines[count].count(delimiter)
    alike = [values > 0 and line.count(delimiter) == values for line in lines[:count]]
    below = split("\n".join(lines[count:]), delimiter, *find_quote(text, delimiter))
    if not alike[-1] or lines[count - 1].startswith("# ") and has_header(below):
        return count, DELIMITERS
    return 0 if all(alike) else count - 1, DELIMITERS


def missing_title(rows):
    """Where the first row lacks a value that all others have: 0 for names of rows, as R writes them; else None.

    The last one is missing where every row but the first ends with a delimiter.
    """
    first, rest = rows[0], rows[1:]
    if {len(row) for row in rest} != {len(first) + 1}:
        return None
    if not any(row[-1] for row in rest):
        return len(first)
    names = [row[0] for row in rest]
    return 0 if len(rest) > 1 and len(set(names)) == len(names) else None


def is_separated_by_blanks(text):
    """Several words in every line, equally many, and most of them numbers or in quotes?"""
    rows = [re.findall(r'"[^"]*"|\S+', line) for line in text.split("\n")[:ROWS]]
    rows = [row for row in rows if row]
    widths = collections.Counter(map(len, rows[1:] or rows))  # the header may lack a name for those of the rows
    width, number = widths.most_common(1)[0]
    if width < (2 if '" "' in text.partition("\n")[0] else 3) or number <= 0.9 * widths.total():
        return False
    words = [word for row in rows for word in row]
    return sum(word[0] == '"' or bool(NUMBER.match(word)) for word in words) > 0.5 * len(words)


def is_title(rows):
    """Is the first row a line of text above the table, its other columns empty? The second row has the names then."""
    first = rows[0]
    return len(first) > 2 and bool(first[0]) and not any(first[1:]) and len(rows) > 1 and all(rows[1])


NUMBER = re.compile(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*\Z")


def is_year(text):
    return re.fullmatch(r"(1[89]|20)\d\d", text.strip()) is not None


def has_header(rows):
    """Does the first row name the columns? Numbers above numbers, or words that come again below, do not."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not rest:
        return not any(NUMBER.match(cell) for cell in first)
    numbers = [index for index, cell in enumerate(first) if NUMBER.match(cell)]
    if numbers:
        # A wide table has a column for each year, or for each hour: whole numbers that go up by one step.
        labels = [first[index] for index in numbers]
        if len(numbers) > 2 and len(numbers) < len(first) and all(label.isdigit() for label in labels):
            steps = {int(after) - int(before) for before, after in zip(labels, labels[1:], strict=False)}
            if len(steps) == 1 and steps.pop() > 0:
                return True
        if labels == [str(number) for number in range(len(labels))] and (len(labels) > 2 or first[0] == ""):
            return True  # as pandas writes a table without names
        if all(map(is_year, labels)) and 1 < len(set(labels)) == len(labels) < len(first):
            years = sum(is_year(row[index]) for row in rest for index in numbers)
            return years < 0.5 * len(rest) * len(numbers)
        return not any(any(NUMBER.match(row[index]) for row in rest) for index in numbers)
    if len(set(first)) < len(first) and len(set(filter(None, first))) < len([cell for cell in first if cell]) - 2:
        return False
    columns = list(zip(*rest, strict=True))
    below = [sum(bool(NUMBER.match(cell)) for cell in column) for column in columns]
    if any(count > 0.5 * len(rest) for count in below):
        return True
    again = sum(bool(cell) and cell in column for cell, column in zip(first, columns, strict=True))
    return again * 2 < len(first)
