"""Open a data file whatever it is packed with, and say in one line what is no data file."""

import bz2
import codecs
import contextlib
import gzip
import importlib.util
import lzma
import re
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dsproj.errors import Problem
from dsproj.names import OF_SYSTEM

PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
ZSTANDARD, ZIP = b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
DAMAGED = "the packed file is damaged or cut off"
BROKEN = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile)  # what says so
OF_OFFICE = (b"[Content_Types].xml", b"mimetypeapplication/")  # how a document begins that is cut off
LOGIN = "perhaps an error or a login page instead of the file"
# What people hand over by mistake, by its first bytes; of text in small letters, after any blanks.
NO_TABLE = {
    "this is a PDF document: export the table as CSV": (b"%PDF",),
    "this is a program": (b"\x7fELF",),
    "this is an image": (b"\x89PNG", b"\xff\xd8\xff", b"GIF8"),
    "this is a 7-Zip archive: unpack it": (b"7z\xbc\xaf",),
    "this is a RAR archive: unpack it": (b"Rar!",),
    "this is an HDF5 file: write the table as Parquet, read_hdf(…).to_parquet(…)": (b"\x89HDF",),
    "this is an ORC file: write it as Parquet, read_orc(…).to_parquet(…)": (b"ORC",),
    "this is a file of R's own: write the table as CSV, write.csv(readRDS(…), …)": (b"RDX", b"RDA", b"X\n\0\0"),
    f"this is a web page (HTML), {LOGIN}": (b"<!doctype html", b"<html", b"<head"),
    "this is XML: export the table as CSV": (b"<?xml", b"<svg"),
}
# What dsproj.kernel.tables reads, by first bytes.
TABLES = {
    "Parquet": (b"PAR1",),
    "Arrow": (b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"),
    "SQLite": (b"SQLite format 3",),
    "workbook": (b"\xd0\xcf\x11\xe0",),  # of before 2007, or with a password
    "Stata": (b"<stata_dta>", *(bytes([version, order, 1]) for version in range(104, 116) for order in (1, 2))),
    "SAS": (b"\0" * 12 + b"\xc2\xea\x81\x60",),
    "SAS transport": (b"HEADER RECORD*******LIB",),
    "SPSS": (b"$FL2", b"$FL3"),
}
JSON = re.compile(rb"(\xef\xbb\xbf)?\s*(\{|\[\s*([][{]|\Z))")


def has_readers() -> bool:
    """Are the readers of TABLES here? The image of this_postgres has Python's standard library alone."""
    return importlib.util.find_spec("pyarrow") is not None


@contextlib.contextmanager
def unpacked(path: Path | str) -> Iterator[IO[bytes]]:
    """The file, open for reading bytes; .gz, .bz2, .xz, .zst and .zip with one member unpacked, by what they hold."""
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(open(path, "rb"))
        start = file.read(100)
        file.seek(0)
        try:
            if start.startswith(ZIP):
                file = stack.enter_context(only_member(stack.enter_context(zipfile.ZipFile(file))))
            elif start.startswith(ZSTANDARD):
                file = stack.enter_context(zstandard(path))
            elif opener := next((PACKED[magic] for magic in PACKED if start.startswith(magic)), None):
                file = stack.enter_context(opener(file))
            yield file
        except BROKEN as error:
            raise Problem(f"{DAMAGED}: {error}") from None
        except OSError as error:
            if error.errno is None:  # bz2's word for damaged
                raise Problem(f"{DAMAGED}: {error}") from None
            raise


def members(archive: zipfile.ZipFile) -> list[str]:
    """The names of the files in a zip archive, without what systems add."""
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    return [name for name in names if name.rpartition("/")[2] not in OF_SYSTEM]


def only_member(archive: zipfile.ZipFile) -> IO[bytes]:
    """The one file in a zip archive, open."""
    names = members(archive)
    if len(names) != 1:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise Problem(f"the zip archive holds {len(names)} files, not one: {listed}")
    return member(archive, names[0])


def member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A file in a zip archive, open."""
    if archive.getinfo(name).flag_bits & 1:
        raise Problem("the zip archive is encrypted: unpack it")
    try:
        return archive.open(name)
    except NotImplementedError as error:  # Deflate64, of Windows for large files, for example
        raise Problem(f"the zip archive is packed in a way that Python does not know: unpack it ({error})") from None


@contextlib.contextmanager
def zstandard(path: Path | str) -> Iterator[IO[bytes]]:
    """A .zst file: by Python 3.14 or the package backports.zstd, else by the program zstd of the PostgreSQL image."""
    for module in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            zstd = importlib.import_module(module)
            break
    else:
        yield from by_program(path)
        return
    with zstd.open(path) as file:
        try:
            yield file
        except zstd.ZstdError as error:
            raise Problem(f"{DAMAGED}: {error}") from None


def by_program(path: Path | str) -> Iterator[IO[bytes]]:
    if not shutil.which("zstd"):
        needed = "Python 3.14, the package backports.zstd or the program zstd"
        raise Problem(f"a .zst file needs {needed}: install one of them, or unpack the file")
    with subprocess.Popen(["zstd", "-dcq", "--", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        yield process.stdout
        if process.stdout.read(1):  # not read to its end
            process.kill()
        elif process.wait():
            raise Problem(f"{DAMAGED}: {process.stderr.read().decode().strip()}") from None


def kind_of(path: Path | str) -> str:
    """What a file is, by what it holds: a name of TABLES, "DuckDB", "SPSS portable", "JSON", "archive" of several files, or
    "CSV" for all other text.
    """
    with open(path, "rb") as file:
        start = file.read(500)
    kind = table_by_start(start)
    if not kind and start.startswith(ZIP):
        kind = kind_of_zip(path, start)
    if kind:
        return kind
    with unpacked(path) as opened:
        inner = opened.read(1000)
    if kind := table_by_start(inner) or "zip" * inner.startswith(ZIP):
        raise Problem(f"this is a packed {kind} file: unpack it")
    utf16 = inner.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "JSON" if JSON.match(inner.decode("utf-16", "ignore").encode() if utf16 else inner) else "CSV"


def table_by_start(start: bytes) -> str:
    """The kind of a file of bytes by its first ones, "" for text and all else."""
    if start[8:12] == b"DUCK":
        return "DuckDB"
    if b"SPSS PORT FILE" in start:
        return "SPSS portable"
    return next((kind for kind, starts in TABLES.items() if start.startswith(starts)), "")


def kind_of_zip(path: Path | str, start: bytes) -> str:
    """ "workbook" (or another document), "archive" of several files, else ""."""
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        if not {"[Content_Types].xml", "mimetype"}.isdisjoint(archive.namelist()):
            return "workbook"
        return "archive" if len(members(archive)) > 1 else ""
    return "workbook" if any(name in start for name in OF_OFFICE) else ""


def check_start(start: bytes) -> None:
    """Raise a Problem where the first bytes (unpacked) are of something else than a table as text."""
    if not start.strip():
        raise Problem("the file is empty")
    if start[257:262] == b"ustar":
        raise Problem("this is a tar archive: unpack it")
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    for message, magics in NO_TABLE.items():
        if start.startswith(magics) or text.startswith(magics):
            raise Problem(message)


def lines_before(data: bytes, position: int) -> int:
    """Line ends of the bytes `data` before a position."""
    return data.count(b"\n", 0, position)
