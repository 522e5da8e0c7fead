"""Open a data file whatever it is packed with, and say in one line what is no data file.

The standard library is enough, save for .zst files.
"""

import bz2
import contextlib
import gzip
import importlib
import lzma
import shutil
import subprocess
import zipfile
import zlib


class DataError(Exception):
    """The file cannot be read as rows of values; the message says why, in one line."""


PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
ZSTANDARD, ZIP = b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
# What people hand over by mistake, by its first bytes.
NO_TABLE = {
    b"%PDF": "this is a PDF document: export the table as CSV",
    b"\xd0\xcf\x11\xe0": "this is an old Excel or Office document: save it as CSV",
    b"PAR1": "this is a Parquet file: write it as CSV, for example with pandas: read_parquet(…).to_csv(…, index=False)",
    b"SQLite format 3": "this is an SQLite database: export the table as CSV",
    b"\x7fELF": "this is a program",
    b"\x89PNG": "this is an image",
    b"\xff\xd8\xff": "this is an image",
    b"GIF8": "this is an image",
    b"7z\xbc\xaf": "this is a 7-Zip archive: unpack it",
    b"Rar!": "this is a RAR archive: unpack it",
    b"\x89HDF": "this is an HDF5 file: export the table as CSV",
}


@contextlib.contextmanager
def unpacked(path):
    """The file, open for reading bytes; .gz, .bz2, .xz, .zst and .zip with one member are unpacked, by what they hold."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))
        start = file.read(16)
        file.seek(0)
        if start.startswith(ZIP):
            file = stack.enter_context(only_member(stack.enter_context(open_zip(file))))
        elif start.startswith(ZSTANDARD):
            file = stack.enter_context(zstandard(path))
        elif opener := next((PACKED[magic] for magic in PACKED if start.startswith(magic)), None):
            file = stack.enter_context(opener(file))
        try:
            yield file
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
            raise DataError(f"the packed file is damaged or cut off: {error}") from None


def open_zip(file):
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise DataError(f"the zip archive is damaged or cut off: {error}") from None


def is_of_system(name):
    """A file that macOS or Windows adds to an archive."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "Thumbs.db", "desktop.ini")


def only_member(archive):
    """The one file in a zip archive, open."""
    members = [item for item in archive.infolist() if not item.is_dir() and not is_of_system(item.filename)]
    names = [item.filename for item in members]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise DataError("this is an Excel or Office document: save the sheet as CSV")
    if len(members) != 1:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise DataError(f"the zip archive holds {len(names)} files, not one: {listed}")
    if members[0].flag_bits & 1:
        raise DataError("the zip archive is encrypted: unpack it")
    try:
        return archive.open(members[0])
    except NotImplementedError as error:  # Deflate64, of Windows for large files, for example
        raise DataError(f"the zip archive is packed in a way that Python does not know: unpack it ({error})") from None


@contextlib.contextmanager
def zstandard(path):
    """A .zst file: by Python 3.14 or the package backports.zstd, else by the program zstd, which the PostgreSQL image has."""
    for module in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            zstd = importlib.import_module(module)
            break
    else:
        if not shutil.which("zstd"):
            raise DataError(
                "a .zst file needs Python 3.14, the package backports.zstd or the program zstd: "
                "install one of them, or unpack the file"
            )
        with subprocess.Popen(["zstd", "-dcq", "--", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            yield process.stdout
            ended = not process.stdout.read(1)
            if not ended:
                process.kill()
            elif process.wait():
                raise DataError(
                    f"the packed file is damaged or cut off: {process.stderr.read().decode().strip()}"
                ) from None
        return
    with zstd.open(path) as file:
        try:
            yield file
        except zstd.ZstdError as error:
            raise DataError(f"the packed file is damaged or cut off: {error}") from None


def check_start(start):
    """Raise DataError where the first bytes (unpacked) are of something else than a table as text."""
    if not start.strip():
        raise DataError("the file is empty")
    for magic, message in NO_TABLE.items():
        if start.startswith(magic):
            raise DataError(message)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        raise DataError("this is a web page (HTML), perhaps an error or a login page instead of the file")
    if text.startswith((b"<?xml", b"<svg")):
        raise DataError("this is XML: export the table as CSV")
    if text.startswith((b"{", b"[{", b"[\n", b"[ ")):
        raise DataError("this is JSON: write it as CSV, for example with pandas: read_json(…).to_csv(…, index=False)")


def lines_before(data, position):
    """Line ends of the bytes `data` before a position."""
    return data.count(b"\n", 0, position)
