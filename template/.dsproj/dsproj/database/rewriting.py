"""Rewrite blocks of whole rows for COPY: blanks, words for no value, decimal commas, stray quotes."""

# All by operations that run in C on whole blocks: a loop over values would take longer than COPY itself.

import argparse
import re
from collections.abc import Iterator

from dsproj.errors import Problem

# A character that PostgreSQL's text cannot hold stands for a quoted value while the rest of a block is worked on.
HELD = b"\0"
TWO = b"\x01"  # and this one for two quotes; a block that has it is rewritten in the slower way
COMMA_NUMBER = rb"[+-]?(?:\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d*,\d+)(?:[eE][+-]?\d+)?"
GROUPED_NUMBER = rb"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?"
POINT_FOR_COMMA = bytes.maketrans(b",", b".")
NOTHING = re.compile(rb"(?!)")
EITHER = b'\\"'  # as an escape: a quote in quotes is written \" here and "" there


def columns(text: str) -> set[int]:
    """'2,3' -> {1, 2}: numbers of columns, counted from 1 by people and from 0 here."""
    return {int(word) - 1 for word in text.split(",")}


class Numbers:
    """Numbers that are written in another way than PostgreSQL reads them, in some columns or "all"."""

    def __init__(self, where: str | None, number: bytes, edge: bytes, quote: bytes) -> None:
        self.everywhere, self.comma = where == "all", number == COMMA_NUMBER
        self.columns = columns(where) if where and not self.everywhere else set()
        self.value = re.compile(rb"((?:%b)?)[ \t]*%b[ \t]*\1" % (re.escape(quote), number))
        self.between = re.compile(rb"(?<=[%b\n]) *%b *(?=[%b\n])" % (edge, number, edge))

    def mended(self, value: bytes) -> bytes:
        """1.234,5 -> 1234.5 or 1,234.5 -> 1234.5, in quotes or not; what is no such number stays."""
        if not self.value.fullmatch(value):
            return value
        return value.translate(POINT_FOR_COMMA, b".") if self.comma else value.replace(b",", b"")

    def mended_match(self, match: re.Match[bytes]) -> bytes:
        return self.mended(match[0])


class Normaliser:
    """Rewrites blocks of whole rows, as parsed `options` say."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.blanks = chosen.delimiter == b" "
        self.delimiter = b"\t" if self.blanks else chosen.delimiter
        self.quote, self.trim, self.width = chosen.quote, chosen.trim, chosen.width
        self.either = chosen.escape == EITHER
        self.escape = chosen.quote if chosen.escape in (b"", EITHER) else chosen.escape
        self.broken = 0  # the row of the block that it ends at
        self.seen = 0  # delimiters, those in quotes aside
        # Of the last block: which row, its number of values where that is not `width`, and whether it is now.
        self.odd: list[tuple[int, int, bool]] = []
        edge = re.escape(self.delimiter)
        self.quoted = self.opened = self.enclosed = self.begun = self.bare = NOTHING
        if self.quote:
            self.find_quotes(edge, re.escape(self.quote), re.escape(self.escape))
        self.find_words(chosen, edge)
        written = ((chosen.decimal_comma, COMMA_NUMBER), (chosen.thousands, GROUPED_NUMBER))
        self.numbers = [Numbers(where, number, edge, self.quote) for where, number in written if where]
        self.everywhere = [each for each in self.numbers if each.everywhere]
        self.by_column = bool(self.null_in or any(each.columns for each in self.numbers))
        other = (self.blanks, self.either, self.by_column, self.everywhere, self.quote in b"".join(chosen.null))
        self.is_simple = self.quote == self.escape != b"" and not any(other)

    def find_words(self, chosen: argparse.Namespace, edge: bytes) -> None:
        """The words that mean: no value."""
        # The word comes first, so that the search can leap to it; what is around it is looked at then.
        words = map(re.escape, filter(None, chosen.null))
        self.null_words = [re.compile(rb"%b(?<=[%b\n]%b)(?=[%b\n])" % (word, edge, word, edge)) for word in words]
        self.null_bare, self.null_quoted = set(chosen.null), {self.in_quotes(word) for word in chosen.null}
        self.null_in: dict[int, set[bytes]] = {}
        for numbers, word in chosen.null_in:
            for number in numbers:
                self.null_in.setdefault(number, set()).update((word, self.in_quotes(word)))

    def in_quotes(self, word: bytes) -> bytes:
        return self.quote + (word.replace(self.quote, self.escape + self.quote) if self.quote else word) + self.quote

    def find_quotes(self, edge: bytes, quote: bytes, escape: bytes) -> None:
        """The patterns of values in quotes, for rows with these (escaped) characters."""
        inner = rb"[^%b]*(?:%b%b[^%b]*)*" % (quote, quote, quote, quote)
        if escape != quote:
            inner = rb"[^%b%b]*(?:%b.[^%b%b]*)*" % (quote, escape, escape, quote, escape)
        if self.either:
            inner = rb'[^"\\]*(?:(?:""|\\"(?! *(?:[%b\r\n]|\Z))|\\)[^"\\]*)*' % edge
        # Quotes count where they enclose a whole value; blanks outside of them go.
        blank = rb" " if self.delimiter == b"\t" else rb"[ \t]"
        begin, end = rb"(?:(?<=[%b\r\n])|\A)%b*" % (edge, blank), rb"%b*(?=[%b\r\n]|\Z)" % (blank, edge)
        self.quoted = re.compile(rb"%b(%b%b%b)%b" % (begin, quote, inner, quote, end), re.S)
        self.opened = re.compile(rb"(?<=[%b\n]) *%b" % (edge, quote))
        self.bare = re.compile(rb"(?<=[%b\n])[^%b\n\0]*%b[^%b\n]*" % (edge, edge, quote, edge))
        # The first two for the file as it lies there.
        self.enclosed, self.begun = self.quoted, re.compile(rb"(?<=[%b\r\n]) *%b" % (edge, quote))
        if self.blanks:
            self.enclosed = re.compile(rb"((?:(?<=[ \t\r\n])|\A)%b%b%b)" % (quote, inner, quote), re.S)
            self.begun = re.compile(rb"(?<=[ \t\n])%b" % quote)

    def end_of_rows(self, part: bytes) -> int:
        """Where the last row ends in a part of the file that ends with a line; that line may end within quotes."""
        counted = part.replace(EITHER, b"") if self.either else part
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
        if self.is_simple and (simple := self.rewrite_simple(block)) is not None:
            return simple
        parts = self.quoted.split(block)
        values = parts[1::2]
        if self.either:
            values = [value[:-1].replace(EITHER, b'""') + b'"' for value in values]
        if self.null_quoted:
            values = [b"" if self.is_nothing(value, self.null_quoted) else value for value in values]
        for each in self.everywhere:
            values = [each.mended(value) for value in values]
        rest = self.rewrite_plain(HELD.join(parts[0::2]), iter(values))
        if self.by_column:  # the values are back in place already
            return rest
        parts[0::2], parts[1::2] = rest.split(HELD), values
        return b"".join(parts)

    def is_nothing(self, value: bytes, words: set[bytes]) -> bool:
        """Does a value stand for none: one of these words, in quotes with blanks around it too where blanks go?"""
        if value in words or not self.trim or not self.quote or not value.startswith(self.quote):
            return value in words
        return self.quote + value[1:-1].strip(b" \t") + self.quote in words

    def rewrite_simple(self, block: bytes) -> bytes | None:
        """The same where every quote belongs to a whole value, without the patterns that know of all else; None elsewhere."""
        quote, edges = self.quote, (self.delimiter, b"\n", b"\r")
        begun = re.compile(rb"(?:\A|[%b\r\n])%b" % (re.escape(self.delimiter), quote * 3))
        if TWO in block or (quote * 3 in block and begun.search(block)):
            return None
        pieces = block.replace(quote * 2, TWO).split(quote)
        outside, values = HELD.join(pieces[0::2]), pieces[1::2]
        if len(pieces) % 2 == 0 or not self.null_bare.isdisjoint(values):
            return None
        if self.trim and self.null_bare and list(map(bytes.strip, values)) != values:
            return None
        for taken in (HELD, TWO):
            count = outside.count(taken)
            before = sum(outside.count(edge + taken) for edge in edges) + outside.startswith(taken)
            if not before == count == sum(outside.count(taken + edge) for edge in edges):
                return None
        rest = self.rewrite_plain(outside, iter(()))
        if rest == outside:
            return block
        pieces[0::2] = rest.split(HELD)
        return quote.join(pieces).replace(TWO, quote * 2)

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
        for each in self.everywhere if self.delimiter != b"," else ():
            text = each.between.sub(each.mended_match, text)
        if self.width:
            text = self.of_width(text)
        self.seen += text.count(self.delimiter)
        if self.by_column:
            text = b"\n".join(self.rewrite_row(row, held) for row in text.split(b"\n"))
        return text[1:]

    def of_width(self, text: bytes) -> bytes:
        """Rows of as many values as there are columns: empty ones too many go, missing ones at the end become NULL."""
        rows, self.odd = text[1:].split(b"\n"), []
        for number, row in enumerate(rows):
            count = row.count(self.delimiter) + 1
            if count == self.width or not row:
                continue
            mended = count > 1  # a value alone is a note rather than a row
            if count < self.width and mended:
                rows[number] = row + self.delimiter * (self.width - count)
            elif count > self.width:
                values = row.split(self.delimiter)
                mended = not any(map(bytes.strip, values[self.width :]))
                if mended:
                    rows[number] = self.delimiter.join(values[: self.width])
            self.odd.append((number, count, mended))
        return b"\n" + b"\n".join(rows)

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
            self.broken = text.count(b"\n", 0, broken.start()) - 1
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
            if self.is_nothing(value, self.null_in.get(number, set())):
                value = b""
            for each in self.numbers:
                if number in each.columns:
                    value = each.mended(value)
            values[number] = value
        return self.delimiter.join(values)

    def line_numbers(self, block: bytes, line: int) -> list[int]:
        """On which line of the file each row of a block begins, as its rows are after `rewrite`; the block is at `line`."""
        blank = (
            b"" if not (self.trim or self.blanks) else b" " if self.delimiter == b"\t" and not self.blanks else b" \t"
        )
        held = self.enclosed.sub(lambda match: b"x" + HELD * lines(match[0]), block)
        numbers = []
        for row in held.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
            if row.strip(blank) if blank else row:
                numbers.append(line)
            line += 1 + row.count(HELD)
        return numbers


def lines(block: bytes) -> int:
    """Ends of lines in a block."""
    return block.count(b"\n") + (block.count(b"\r") - block.count(b"\r\n") if b"\r" in block else 0)
