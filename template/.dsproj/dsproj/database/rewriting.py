"""Rewrite blocks of whole rows for COPY: blanks, words for no value, decimal commas, stray quotes."""

# All by operations that run in C on whole blocks: a loop over values would take longer than COPY itself.

import argparse
import re
from collections.abc import Iterator

from dsproj.errors import Problem

# A character that PostgreSQL's text cannot hold stands for a quoted value while the rest of a block is worked on.
HELD = b"\0"
COMMA_NUMBER = rb"[+-]?(?:\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d*,\d+)(?:[eE][+-]?\d+)?"
NOTHING = re.compile(rb"(?!)")


def columns(text: str) -> set[int]:
    """'2,3' -> {1, 2}: numbers of columns, counted from 1 by people and from 0 here."""
    return {int(word) - 1 for word in text.split(",")}


class Normaliser:
    """Rewrites blocks of whole rows, as parsed `options` say."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.blanks = chosen.delimiter == b" "
        self.delimiter = b"\t" if self.blanks else chosen.delimiter
        self.quote, self.escape, self.trim = chosen.quote, chosen.escape or chosen.quote, chosen.trim
        edge = re.escape(self.delimiter)
        self.quoted = self.opened = self.enclosed = self.begun = self.bare = NOTHING
        if self.quote:
            self.find_quotes(edge, re.escape(self.quote), re.escape(self.escape))
        # The word comes first, so that the search can leap to it; what is around it is looked at then.
        words = map(re.escape, filter(None, chosen.null))
        self.null_words = [re.compile(rb"%b(?<=[%b\n]%b)(?=[%b\n])" % (word, edge, word, edge)) for word in words]
        self.null_quoted = {self.quote + word + self.quote for word in chosen.null}
        self.null_in: dict[int, set[bytes]] = {}
        for numbers, word in chosen.null_in:
            for number in numbers:
                self.null_in.setdefault(number, set()).update((word, self.quote + word + self.quote))
        self.number = re.compile(rb"((?:%b)?)%b\1" % (re.escape(self.quote), COMMA_NUMBER))
        self.numbers = re.compile(rb"(?<=[%b\n])%b(?=[%b\n])" % (edge, COMMA_NUMBER, edge))
        self.comma_everywhere = chosen.decimal_comma == "all"
        self.comma_in = columns(chosen.decimal_comma) if chosen.decimal_comma not in (None, "", "all") else set()
        self.by_column = bool(self.comma_in or self.null_in)

    def find_quotes(self, edge: bytes, quote: bytes, escape: bytes) -> None:
        """The patterns of values in quotes, for rows with these (escaped) characters."""
        inner = rb"[^%b]*(?:%b%b[^%b]*)*" % (quote, quote, quote, quote)
        if escape != quote:
            inner = rb"[^%b%b]*(?:%b.[^%b%b]*)*" % (quote, escape, escape, quote, escape)
        # Quotes count where they enclose a whole value; blanks outside of them go.
        blank = rb" " if self.delimiter == b"\t" else rb"[ \t]"
        begin, end = rb"(?:(?<=[%b\r\n])|\A)%b*" % (edge, blank), rb"%b*(?=[%b\r\n]|\Z)" % (blank, edge)
        self.quoted = re.compile(rb"%b(%b%b%b)%b" % (begin, quote, inner, quote, end), re.S)
        self.opened = re.compile(rb"(?<=[%b\n]) *%b" % (edge, quote))
        self.bare = re.compile(rb"(?<=[%b\n])[^%b\n\0]*%b[^%b\n]*" % (edge, edge, quote, edge))
        # The first two for the file as it lies there.
        self.enclosed, self.begun = self.quoted, self.opened
        if self.blanks:
            self.enclosed = re.compile(rb"((?:(?<=[ \t\r\n])|\A)%b%b%b)" % (quote, inner, quote), re.S)
            self.begun = re.compile(rb"(?<=[ \t\n])%b" % quote)

    def end_of_rows(self, part: bytes) -> int:
        """Where the last row ends in a part of the file that ends with a line; that line may end within quotes."""
        counted = part
        if self.escape != self.quote:
            counted = part.replace(self.escape + self.escape, b"").replace(self.escape + self.quote, b"")
        if not self.quote or counted.count(self.quote) % 2 == 0:
            return len(part)
        # An odd one out: it begins a value that does not end here, or stands within a value, as in 5" pipe.
        rest = self.enclosed.sub(lambda match: b"x" * len(match[0]), part)
        begun = self.begun.search(b"\n" + rest)
        if begun is None:
            return len(part)
        place = begun.start() - 1
        return max(rest.rfind(b"\n", 0, place), rest.rfind(b"\r", 0, place)) + 1

    def rewrite(self, block: bytes) -> bytes:
        """The block (whole rows) as COPY takes it."""
        if self.blanks:
            block = self.with_tabs(block)
        if not self.quote or self.quote not in block:
            return self.rewrite_plain(block, iter(()))
        # Quoted values are taken out while the rest is rewritten in one go.
        parts = self.quoted.split(block)
        values = parts[1::2]
        if self.null_quoted:
            values = [b"" if value in self.null_quoted else value for value in values]
        if self.comma_everywhere:
            values = [self.without_comma(value) for value in values]
        rest = self.rewrite_plain(HELD.join(parts[0::2]), iter(values))
        if self.by_column:  # the values are back in place already
            return rest
        parts[0::2], parts[1::2] = rest.split(HELD), values
        return b"".join(parts)

    def with_tabs(self, block: bytes) -> bytes:
        """A tab for all blanks between two values, nothing for those around a row."""
        parts = self.enclosed.split(block)
        for place in range(0, len(parts), 2):  # between them are the values in quotes
            bare = re.sub(rb"[ \t]*([\r\n]+)[ \t]*", rb"\1", parts[place])
            parts[place] = re.sub(rb"[ \t]+", b"\t", bare)
        return b"".join(parts).strip(b"\t")

    def rewrite_plain(self, text: bytes, held: Iterator[bytes]) -> bytes:
        """Rows without quoted values; `held` gives those that were taken out, in order."""
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        text = b"\n" + text
        if self.trim:
            text = self.trimmed(text)
        while b"\n\n" in text:
            text = text.replace(b"\n\n", b"\n")
        if self.quote and self.quote in text:
            text = self.enclose(text)
        for word in self.null_words:
            text = word.sub(b"", text)
        if self.comma_everywhere and self.delimiter != b",":
            text = self.numbers.sub(lambda match: self.without_comma(match[0]), text)
        if self.by_column:
            text = b"\n".join(self.rewrite_row(row, held) for row in text.split(b"\n"))
        return text[1:]

    def trimmed(self, text: bytes) -> bytes:
        """Without the blanks around values."""
        edge = self.delimiter
        for blank in (b" ", b"\t") if edge != b"\t" else (b" ",):
            around = ((edge + blank, edge), (blank + edge, edge), (b"\n" + blank, b"\n"), (blank + b"\n", b"\n"))
            for padded, bare in around:
                # A single byte is found ten times as fast as two, and often none is left.
                while blank in text and padded in text:
                    text = text.replace(padded, bare)
        return text

    def enclose(self, text: bytes) -> bytes:
        """Quote the values that have a quote inside, as in 5" pipe: COPY takes it for the begin of a quoted part."""
        if broken := self.opened.search(text):
            start = text[broken.start() :].split(b"\n")[0][:40].decode(errors="replace")
            raise Problem(f"broken quotes: a value begins with one and does not end with one: {start}")
        quote, inside = self.quote, self.escape + self.quote
        return self.bare.sub(lambda match: quote + match[0].replace(quote, inside) + quote, text)

    def rewrite_row(self, row: bytes, held: Iterator[bytes]) -> bytes:
        """One row, value by value: the slow way, for options that name columns."""
        values = row.split(self.delimiter)
        for number, value in enumerate(values):
            if HELD in value:
                value = value.replace(HELD, next(held))
            if value in self.null_in.get(number, ()):
                value = b""
            elif number in self.comma_in:
                value = self.without_comma(value)
            values[number] = value
        return self.delimiter.join(values)

    def without_comma(self, value: bytes) -> bytes:
        """1.234,5 -> 1234.5, in quotes or not; what is no such number stays."""
        if self.number.fullmatch(value):
            return value.replace(b".", b"").replace(b",", b".")
        return value
