"""Open a data file whatever it is packed with, and say in one line what is no data file."""

import bz2
import contextlib
import gzip
import importlib
import lzma
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dsproj.errors import Problem

PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
ZSTANDARD, ZIP = b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
DAMAGED = "the packed file is damaged or cut off"
OFFICE = "this is an Excel workbook or another Office document: save the sheet as CSV"
OF_OFFICE = (b"[Content_Types].xml", b"mimetypeapplication/")  # name of the first member, with what it holds
LOGIN = "perhaps an error or a login page instead of the file"
PANDAS = "write it as CSV, for example with pandas"
# What people hand over by mistake, by its first bytes; of text in small letters, after any blanks.
NO_TABLE = {
    "this is a PDF document: export the table as CSV": (b"%PDF",),
    "this is an old Excel or Office document: save it as CSV": (b"\xd0\xcf\x11\xe0",),
    f"this is a Parquet file: {PANDAS}: read_parquet(…).to_csv(…, index=False)": (b"PAR1",),
    "this is an SQLite database: export the table as CSV": (b"SQLite format 3",),
    "this is a program": (b"\x7fELF",),
    "this is an image": (b"\x89PNG", b"\xff\xd8\xff", b"GIF8"),
    "this is a 7-Zip archive: unpack it": (b"7z\xbc\xaf",),
    "this is a RAR archive: unpack it": (b"Rar!",),
    "this is an HDF5 file: export the table as CSV": (b"\x89HDF",),
    f"this is a web page (HTML), {LOGIN}": (b"<!doctype html", b"<html", b"<head"),
    "this is XML: export the table as CSV": (b"<?xml", b"<svg"),
    f"this is JSON: {PANDAS}: read_json(…).to_csv(…, index=False)": (b"{", b"[{", b"[\n", b"[ "),
}
OF_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini")  # files that macOS or Windows adds to an archive


@contextlib.contextmanager
def unpacked(path: Path | str) -> Iterator[IO[bytes]]:
    """The file, open for reading bytes; .gz, .bz2, .xz, .zst and .zip with one member unpacked, by what they hold."""
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(open(path, "rb"))
        start = file.read(100)
        file.seek(0)
        try:
            if start.startswith(ZIP):
                if any(name in start for name in OF_OFFICE):  # said of one that is cut off too
                    raise Problem(OFFICE)
                file = stack.enter_context(only_member(stack.enter_context(zipfile.ZipFile(file))))
            elif start.startswith(ZSTANDARD):
                file = stack.enter_context(zstandard(path))
            elif opener := next((PACKED[magic] for magic in PACKED if start.startswith(magic)), None):
                file = stack.enter_context(opener(file))
            yield file
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
            raise Problem(f"{DAMAGED}: {error}") from None
        except OSError as error:
            if error.errno is None:  # bz2's word for damaged
                raise Problem(f"{DAMAGED}: {error}") from None
            raise


def only_member(archive: zipfile.ZipFile) -> IO[bytes]:
    """The one file in a zip archive, open."""
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    names = [name for name in names if name.rpartition("/")[2] not in OF_SYSTEM]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise Problem(OFFICE)
    if len(names) != 1:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise Problem(f"the zip archive holds {len(names)} files, not one: {listed}")
    if archive.getinfo(names[0]).flag_bits & 1:
        raise Problem("the zip archive is encrypted: unpack it")
    try:
        return archive.open(names[0])
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
