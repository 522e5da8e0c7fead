"""Print a data file as PostgreSQL's COPY takes it: unpacked, in UTF-8, values as the options say. Constant memory.

    DATA_FILE=data/crops.csv.gz python3 normalise.py --trim --null "?" --decimal-comma 2,3

The rows keep their order, their quoting and their line numbers (but for lines that are left out); delimiter and quotes stay as
they are, COPY's own options read them. Standard library only, so that the image needs Python and nothing else. It works
on blocks of whole rows with operations that run in C: a loop over values would take longer than COPY itself.
"""

import argparse
import codecs
import contextlib
import fcntl
import os
import re
import sys

from data_files import DataError, lines_before, unpacked

BLOCK = 1 << 20
LONGEST_ROW = 8 << 20
# A character that PostgreSQL's text cannot hold stands for a quoted value while the rest of a block is worked on.
HELD = b"\0"
COMMA_NUMBER = rb"[+-]?(?:\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d*,\d+)(?:[eE][+-]?\d+)?"


def columns(text):
    """'2,3' -> {1, 2}: numbers of columns, counted from 1 by people and from 0 here."""
    return {int(word) - 1 for word in text.split(",")}


def word(text):
    """A word as bytes. One that begins with - would be taken for an option, so it has a \\ in front."""
    return os.fsencode(text[1:] if text.startswith("\\-") else text)


def options(arguments=None):
    """The parsed command line; characters and words as bytes in UTF-8."""
    character = {"type": lambda text: text.replace("\\t", "\t").encode()}
    parser = argparse.ArgumentParser(description="Print a data file as PostgreSQL's COPY takes it.")
    parser.add_argument("file", nargs="?", default=os.environ.get("DATA_FILE"), help="default: $DATA_FILE")
    parser.add_argument(
        "--skip", type=int, default=0, metavar="LINES", help="to leave out before the table, such as comments"
    )
    parser.add_argument("--encoding", default="utf-8", help="of the file, as Python names it (utf-16, cp1252)")
    parser.add_argument(
        "--delimiter",
        default=b",",
        **character,
        help='between values; "\\t" is a tab; a blank: any number of blanks or tabs, printed as a tab',
    )
    parser.add_argument("--quote", default=b'"', **character, help="around values that hold a delimiter; empty: none")
    parser.add_argument("--escape", default=b"", **character, help="before a quote inside quotes; else it is doubled")
    parser.add_argument("--trim", action="store_true", help="remove blanks around values that are not quoted")
    parser.add_argument("--null", action="append", default=[], type=word, help="a word that means: no value")
    parser.add_argument(
        "--null-in", action="append", default=[], nargs=2, metavar=("COLUMNS", "WORD"), help="the same, in columns 2,3"
    )
    parser.add_argument("--decimal-comma", metavar="COLUMNS", help='1.234,5 is 1234.5: in columns 2,3, or in "all"')
    parsed = parser.parse_args(arguments)
    parsed.null_in = [(columns(numbers), word(text)) for numbers, text in parsed.null_in]
    if not parsed.file:
        parser.error("which file? Give its name, or set DATA_FILE")
    return parsed


def decoded(blocks, encoding, check=False):
    """Blocks of a file, in UTF-8 and without a byte order mark; UTF-8 itself is only checked when asked."""
    if not check and encoding.replace("-", "").lower() in ("utf8", "utf8sig"):
        start = b""
        for block in blocks:
            start += block
            if len(start) >= len(codecs.BOM_UTF8):
                break
        yield start.removeprefix(codecs.BOM_UTF8)
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    first, line = True, 1
    for block in blocks:
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError as error:
            line += lines_before(block, error.start)
            raise DataError(f"line {line} is not {encoding}: {error.reason}") from None
        except UnicodeError as error:
            raise DataError(f"the file is not {encoding}: {error}") from None
        line += text.count("\n")
        yield (text.removeprefix("\ufeff") if first else text).encode()
        first = False
    if decoder.getstate()[0]:
        raise DataError(f"the file ends in the middle of a character ({encoding})")


def after_lines(blocks, count):
    """Blocks of a file, without its first lines."""
    start = b""
    for block in blocks:
        start += block
        lines = start.splitlines(keepends=True)
        if len(lines) > count:  # so these are complete
            yield b"".join(lines[count:])
            break
    yield from blocks


def whole_rows(blocks, end_of_rows):
    """Cut anew, so that each block ends where a row ends; end_of_rows(part) says where that is in lines of the file."""
    rest = b""
    for block in blocks:
        rest += block
        # A carriage return at the very end may be the first half of a line end.
        cut = max(rest.rfind(b"\n"), rest.rfind(b"\r", 0, len(rest) - 1)) + 1
        cut = end_of_rows(rest[:cut])
        if cut > 0:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > LONGEST_ROW:
            raise DataError(
                f"a row longer than {LONGEST_ROW >> 20} MB: a quote that is never closed? It begins: {rest[:40]!r}"
            )
    if rest:
        yield rest if rest.endswith((b"\n", b"\r")) else rest + b"\n"


class Normaliser:
    """Rewrites blocks of whole rows, as parsed `options` say."""

    def __init__(self, chosen):
        self.blanks = chosen.delimiter == b" "
        self.chosen, self.delimiter = chosen, b"\t" if self.blanks else chosen.delimiter
        quote, escape = re.escape(chosen.quote), re.escape(chosen.escape)
        edge = re.escape(self.delimiter)
        inner = rb"[^%b]*(?:%b%b[^%b]*)*" % (quote, quote, quote, quote)
        if chosen.escape and chosen.escape != chosen.quote:
            inner = rb"[^%b%b]*(?:%b.[^%b%b]*)*" % (quote, escape, escape, quote, escape)
        # Quotes count where they enclose a whole value; blanks outside of them go.
        blank = rb" " if self.delimiter == b"\t" else rb"[ \t]"
        begin, end = rb"(?:(?<=[%b\r\n])|\A)%b*" % (edge, blank), rb"%b*(?=[%b\r\n]|\Z)" % (blank, edge)
        value = rb"%b(%b%b%b)%b" % (begin, quote, inner, quote, end)
        self.quoted = re.compile(value, re.S) if chosen.quote else None
        self.opened = re.compile(rb"(?<=[%b\n]) *%b" % (edge, quote))
        # The same two for the file as it lies there.
        self.enclosed, self.begun = self.quoted, self.opened
        if self.blanks and quote:
            self.enclosed = re.compile(rb"((?:(?<=[ \t\r\n])|\A)%b%b%b)" % (quote, inner, quote), re.S)
            self.begun = re.compile(rb"(?<=[ \t\n])%b" % quote)
        self.bare = (
            re.compile(rb"(?<=[%b\n])[^%b\n\0]*%b[^%b\n]*" % (edge, edge, quote, edge)) if chosen.quote else None
        )
        self.number = re.compile(COMMA_NUMBER)
        self.numbers = re.compile(rb"(?<=[%b\n])%b(?=[%b\n])" % (edge, COMMA_NUMBER, edge))
        # The word comes first, so that the search can leap to it; what is around it is looked at then.
        self.null_words = [
            re.compile(rb"%b(?<=[%b\n]%b)(?=[%b\n])" % (re.escape(word), edge, re.escape(word), edge))
            for word in chosen.null
            if word
        ]
        self.null_quoted = {chosen.quote + word + chosen.quote for word in chosen.null}
        everywhere = chosen.decimal_comma == "all"
        self.comma_everywhere = everywhere
        self.comma_in = set() if everywhere or not chosen.decimal_comma else columns(chosen.decimal_comma)
        self.null_in = {}
        for numbers, word in chosen.null_in:
            for number in numbers:
                self.null_in.setdefault(number, set()).add(word)

    def end_of_rows(self, part):
        """Where the last row ends in a part of the file that ends with a line; that line may end within quotes."""
        quote, escape = self.chosen.quote, self.chosen.escape
        counted = part
        if escape and escape != quote:
            counted = part.replace(escape + escape, b"").replace(escape + quote, b"")
        if not quote or counted.count(quote) % 2 == 0:
            return len(part)
        # An odd one out: it begins a value that does not end here, or stands within a value, as in 5" pipe.
        rest = self.enclosed.sub(lambda match: b"x" * len(match[0]), part)
        begun = self.begun.search(b"\n" + rest)
        if begun is None:
            return len(part)
        place = begun.start() - 1
        return max(rest.rfind(b"\n", 0, place), rest.rfind(b"\r", 0, place)) + 1

    def rewrite(self, block):
        """The block (whole rows) as COPY takes it."""
        if self.blanks:
            block = self.with_tabs(block)
        if self.quoted is None or self.chosen.quote not in block:
            return self.rewrite_plain(block, iter(()))
        # Quoted values are taken out while the rest is rewritten in one go.
        parts = self.quoted.split(block)
        values = parts[1::2]
        if self.chosen.null:
            values = [b"" if value in self.null_quoted else value for value in values]
        if self.comma_everywhere:
            values = [self.without_comma_quoted(value) for value in values]
        rest = self.rewrite_plain(HELD.join(parts[0::2]), iter(values)).split(HELD)
        if self.comma_in or self.null_in:  # the values are back in place already
            return HELD.join(rest)
        parts = [b""] * (2 * len(values) + 1)
        parts[0::2], parts[1::2] = rest, values
        return b"".join(parts)

    def with_tabs(self, block):
        """A tab for all blanks between two values, nothing for those around a row."""
        parts = self.enclosed.split(block) if self.enclosed else [block]
        for place in range(0, len(parts), 2):  # between them are the values in quotes
            bare = re.sub(rb"[ \t]*([\r\n]+)[ \t]*", rb"\1", parts[place])
            parts[place] = re.sub(rb"[ \t]+", b"\t", bare)
        return b"".join(parts).strip(b"\t")

    def rewrite_plain(self, text, held):
        """Rows without quoted values; `held` gives those that were taken out, in order."""
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        text = b"\n" + text
        edge = self.delimiter
        if self.chosen.trim:
            for blank in (b" ", b"\t") if edge != b"\t" else (b" ",):
                for padded, bare in (
                    (edge + blank, edge),
                    (blank + edge, edge),
                    (b"\n" + blank, b"\n"),
                    (blank + b"\n", b"\n"),
                ):
                    # A single byte is found ten times as fast as two, and often none is left.
                    while blank in text and padded in text:
                        text = text.replace(padded, bare)
        while b"\n\n" in text:
            text = text.replace(b"\n\n", b"\n")
        if self.bare and self.chosen.quote in text:
            text = self.enclose(text)
        for word in self.null_words:
            text = word.sub(b"", text)
        if self.comma_everywhere and edge != b",":
            text = self.numbers.sub(lambda match: self.without_comma(match[0]), text)
        if self.comma_in or self.null_in:
            text = b"\n".join(self.rewrite_row(row, held) for row in text.split(b"\n"))
        return text[1:]

    def enclose(self, text):
        """Quote the values that have a quote inside, as in 5" pipe, which COPY would take for the begin of a quoted part."""
        if broken := self.opened.search(text):
            start = text[broken.start() :].split(b"\n")[0][:40].decode(errors="replace")
            raise DataError(f"broken quotes: a value begins with one and does not end with one: {start}")
        quote, escape = self.chosen.quote, self.chosen.escape or self.chosen.quote
        return self.bare.sub(lambda match: quote + match[0].replace(quote, escape + quote) + quote, text)

    def rewrite_row(self, row, held):
        """One row, value by value: the slow way, for options that name columns."""
        values = row.split(self.delimiter)
        for number, value in enumerate(values):
            quoted = HELD in value
            if quoted:
                value = values[number] = value.replace(HELD, next(held))
            if words := self.null_in.get(number):
                bare = value.strip(self.chosen.quote) if quoted else value
                if bare in words:
                    values[number] = b""
            if number in self.comma_in:
                values[number] = self.without_comma_quoted(value) if quoted else self.without_comma(value)
        return self.delimiter.join(values)

    def without_comma(self, value):
        """1.234,5 -> 1234.5; what is no such number stays."""
        if self.number.fullmatch(value):
            return value.replace(b".", b"").replace(b",", b".")
        return value

    def without_comma_quoted(self, value):
        quote = self.chosen.quote
        return quote + self.without_comma(value[len(quote) : -len(quote)]) + quote


def normalised(chosen):
    """The file's rows in blocks of bytes, as parsed `options` say. Raises DataError."""
    with unpacked(chosen.file) as file:
        normaliser = Normaliser(chosen)
        blocks = decoded(iter(lambda: file.read(BLOCK), b""), chosen.encoding)
        if chosen.skip:
            blocks = after_lines(blocks, chosen.skip)
        line = 1 + chosen.skip
        for block in whole_rows(blocks, normaliser.end_of_rows):
            if HELD in block:
                line += lines_before(block, block.index(HELD))
                raise DataError(f"line {line} has a NUL byte: this is no text file, or a damaged one")
            try:
                yield normaliser.rewrite(block)
            except DataError as error:
                raise DataError(
                    f"between line {line} and line {line + lines_before(block, len(block))}, {error}"
                ) from None
            line += lines_before(block, len(block))


def widen(pipe):
    """Let a pipe hold a whole block, as far as the system allows: COPY and we then wait for each other far less."""
    with contextlib.suppress(OSError, AttributeError):  # no pipe, or not Linux
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, BLOCK)


def main():
    chosen = options()
    widen(sys.stdout.fileno())
    try:
        for block in normalised(chosen):
            sys.stdout.buffer.write(block)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader stopped first, and says why
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (DataError, OSError, EOFError) as error:
        sys.exit(f"{os.path.basename(chosen.file)}: {error}")


if __name__ == "__main__":
    main()
