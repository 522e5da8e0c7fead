"""Print a data file as PostgreSQL's COPY takes it: unpacked, in UTF-8, values as the options say. Constant memory."""

#   DATA_FILE=data/crops.csv.gz docker/postgres/get_data.sh --trim --null "?" --decimal-comma 2,3
#
# The rows keep their order and their quoting; delimiter and quotes stay as they are, COPY's own options read them. It goes by blocks of whole rows, which rewriting.py takes one by one.

import argparse
import codecs
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from dsproj.database.data_files import unpacked
from dsproj.database.rewriting import HELD, Normaliser, columns, lines
from dsproj.errors import Problem

BLOCK = 1 << 20
LONGEST_ROW = 8 << 20


def word(text: str) -> bytes:
    """A word as bytes. One that begins with - would be taken for an option, so it has a \\ in front."""
    return os.fsencode(text[1:] if text.startswith("\\-") else text)


def character(text: str) -> bytes:
    return text.replace("\\t", "\t").encode()


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed command line; characters and words as bytes in UTF-8."""
    parser = argparse.ArgumentParser("get_data.sh", description="Print a data file as PostgreSQL's COPY takes it.")
    add = parser.add_argument
    add("file", nargs="?", default=os.environ.get("DATA_FILE"), help="default: $DATA_FILE")
    add("--skip", type=int, default=0, metavar="LINES", help="to leave out before the table, such as comments")
    add("--encoding", default="utf-8", help="of the file, as Python names it (utf-16, cp1252)")
    separates = 'between values; "\\t" is a tab; a blank: any number of blanks or tabs, printed as a tab'
    add("--delimiter", default=b",", type=character, help=separates)
    add("--quote", default=b'"', type=character, help="around values that hold a delimiter; empty: none")
    escape = 'before a quote inside quotes; else it is doubled; \\" for a file that has both'
    add("--escape", default=b"", type=character, help=escape)
    add("--trim", action="store_true", help="remove blanks around values that are not quoted")
    add("--null", action="append", default=[], type=word, help="a word that means: no value")
    names = ("COLUMNS", "WORD")
    add("--null-in", action="append", default=[], nargs=2, metavar=names, help="the same, in columns 2,3")
    add("--decimal-comma", metavar="COLUMNS", help='1.234,5 is 1234.5: in columns 2,3, or in "all"')
    add("--thousands", metavar="COLUMNS", help='1,234.5 is 1234.5: in columns 2,3, or in "all"')
    fill = "values in a row: empty ones too many go, missing ones are empty"
    add("--width", type=int, default=0, metavar="N", help=fill)
    parsed = parser.parse_args(arguments)
    parsed.null_in = [(columns(numbers), word(text)) for numbers, text in parsed.null_in]
    if not parsed.file:
        parser.error("which file? Give its name, or set DATA_FILE")
    return parsed


def decoded(blocks: Iterator[bytes], encoding: str, check: bool = False) -> Iterator[bytes]:
    """Blocks of a file, in UTF-8 and without a byte order mark; UTF-8 itself is only checked when asked."""
    if not check and encoding.replace("-", "").lower() in ("utf8", "utf8sig"):
        start = b""
        while len(start) < len(codecs.BOM_UTF8) and (block := next(blocks, b"")):
            start += block
        yield start.removeprefix(codecs.BOM_UTF8)
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    for number, block in enumerate(blocks):
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError as error:
            line += block.count(b"\n", 0, error.start)
            raise Problem(f"line {line} is not {encoding}: {error.reason}") from None
        except UnicodeError as error:
            raise Problem(f"the file is not {encoding}: {error}") from None
        line += text.count("\n")
        yield (text if number else text.removeprefix("\ufeff")).encode()
    if decoder.getstate()[0]:
        raise Problem(f"the file ends in the middle of a character ({encoding})")


def after_lines(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Blocks of a file, without its first lines."""
    start = b""
    for block in blocks:
        start += block
        lines = start.splitlines(keepends=True)
        if len(lines) > count:  # so these are complete
            yield b"".join(lines[count:])
            break
    yield from blocks


def whole_rows(blocks: Iterable[bytes], end_of_rows: Callable[[bytes], int]) -> Iterator[bytes]:
    """Cut anew, so that each block ends where a row ends; end_of_rows(part) says where that is in lines of the file."""
    rest = b""
    for block in blocks:
        rest += block
        # A carriage return at the very end may be the first half of a line end.
        lines = rest[: max(rest.rfind(b"\n"), rest.rfind(b"\r", 0, len(rest) - 1)) + 1]
        if cut := end_of_rows(lines):
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > LONGEST_ROW:
            limit = f"{LONGEST_ROW >> 20} MB"
            raise Problem(f"a row longer than {limit}: a quote that is never closed? It begins: {rest[:40]!r}")
    if rest:
        yield rest if rest.endswith((b"\n", b"\r")) else rest + b"\n"


def blocks(
    chosen: argparse.Namespace, normaliser: Normaliser, read: Iterator[bytes] | None = None
) -> Iterator[tuple[bytes, int]]:
    """Blocks of whole rows as they lie in the file, decoded, each with the number of its first line. Raises a Problem.

    read: the text in UTF-8, where it is none of the file's.
    """
    with contextlib.ExitStack() as stack:
        if read is None:
            file = stack.enter_context(unpacked(chosen.file))
            read = decoded(iter(lambda: file.read(BLOCK), b""), chosen.encoding)
        if chosen.skip:
            read = after_lines(read, chosen.skip)
        line = 1 + chosen.skip
        for block in whole_rows(read, normaliser.end_of_rows):
            if HELD in block:
                line += lines(block[: block.index(HELD)])
                raise Problem(f"line {line} has a NUL byte: this is no text file, or a damaged one")
            yield block, line
            line += lines(block)


def normalised(
    chosen: argparse.Namespace, normaliser: Normaliser | None = None, read: Iterator[bytes] | None = None
) -> Iterator[bytes]:
    """The file's rows in blocks of bytes, as parsed `options` say. Raises a Problem."""
    for rows, _ in placed(chosen, normaliser or Normaliser(chosen), read):
        yield rows


def placed(
    chosen: argparse.Namespace, normaliser: Normaliser, read: Iterator[bytes] | None = None
) -> Iterator[tuple[bytes, Callable[[], list[int]]]]:
    """The same, each block with a function that tells the line of the file on which each of its rows begins."""
    for block, line in blocks(chosen, normaliser, read):
        try:
            rows = normaliser.rewrite(block)
        except Problem as error:
            raise Problem(f"line {normaliser.line_numbers(block, line)[normaliser.broken]}: {error}") from None
        yield rows, partial(normaliser.line_numbers, block, line)


def print_blocks(blocks: Iterator[bytes], name: str) -> None:
    """Print blocks for COPY; ends the process, with what is wrong with the file `name`, where they raise a Problem."""
    # Let the pipe hold a whole block, as far as the system allows: COPY and we then wait for each other far less.
    with contextlib.suppress(OSError, AttributeError):  # no pipe, or not Linux
        fcntl.fcntl(sys.stdout, fcntl.F_SETPIPE_SZ, BLOCK)
    try:
        for block in blocks:
            sys.stdout.buffer.write(block)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader stopped first, and says why
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (Problem, OSError, EOFError) as error:
        sys.exit(f"{os.path.basename(name)}: {error}")


def main() -> None:
    chosen = options()
    print_blocks(normalised(chosen), chosen.file)


if __name__ == "__main__":
    main()
