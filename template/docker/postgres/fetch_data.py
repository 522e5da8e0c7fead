"""Bring the data file to data/, whole and checked, or leave everything as it was.

    python3 docker/postgres/fetch_data.py

dataset.env says which file, where it comes from and its checksum. Standard library only: it runs before anything is
installed. A download goes to a ".part" file first and takes its name when the checksum is right.
"""

import hashlib
import os
import shlex
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BLOCK = 1 << 20
TIMEOUT = 20  # seconds without a byte


class FetchError(Exception):
    """The file could not be had; the message says why, in one line."""


def settings(path=HERE / "dataset.env"):
    """The variables of dataset.env as a dict of str."""
    pairs = (word.partition("=") for word in shlex.split(path.read_text(encoding="utf-8"), comments=True))
    return {name: value for name, _, value in pairs}


def sha256(path):
    """Hexadecimal SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_link(source):
    return source.startswith(("http://", "https://"))


def download(link, partial, progress):
    """Write what an http(s) link gives to the path `partial`; `progress(done, total)` in bytes, total 0 if unknown."""
    address, _, member = link.partition("#")
    request = urllib.request.Request(address, headers={"User-Agent": "dsproj"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply, open(partial, "wb") as file:
            total, done = int(reply.headers.get("Content-Length") or 0), 0
            while block := reply.read(BLOCK):
                file.write(block)
                done += len(block)
                progress(done, total)
    except urllib.error.HTTPError as error:
        raise FetchError(f"{address}: the server says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise FetchError(f"{address}: {error.reason}") from error
    except (OSError, ValueError) as error:
        raise FetchError(f"{address}: {error}") from error
    if total and done != total:
        raise FetchError(f"{address}: the connection ended after {done} of {total} bytes")
    if member:
        extract(address, member, partial)


def extract(address, member, partial):
    """Replace a zip archive at the path `partial` by one member of it."""
    archive = partial.with_name(partial.name + ".zip.part")
    os.replace(partial, archive)
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as packed, open(partial, "wb") as file:
            shutil.copyfileobj(packed, file, BLOCK)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FetchError(f"{address}: no zip archive with {member} in it") from error
    finally:
        archive.unlink()


def copy(source, partial, progress):
    """Copy a local file, a leading ~ included, to the path `partial`."""
    path = Path(source).expanduser()
    try:
        total = path.stat().st_size
        with open(path, "rb") as original, open(partial, "wb") as file:
            while block := original.read(BLOCK):
                file.write(block)
                progress(file.tell(), total)
    except OSError as error:
        raise FetchError(f"{path}: {error.strerror}") from error


def fetch(sources, target, checksum="", progress=lambda done, total: None):
    """Bring the first of `sources` that can be had to the path `target`; returns the source, or None if it was there.

    A file that is there already is never replaced. Raises FetchError with a line for each source that failed.
    """
    if target.exists():
        return None
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(target.name + ".part")
    failures = []
    for source in sources:
        try:
            (download if is_link(source) else copy)(source, partial, progress)
            if checksum and (found := sha256(partial)) != checksum:
                raise FetchError(f"{source}: refused, its SHA-256 is {found[:12]}… and should be {checksum[:12]}…")
            if partial.stat().st_size == 0:
                raise FetchError(f"{source}: the file is empty")
            # Readable for the user that the database server runs as.
            partial.chmod(0o644)
            os.replace(partial, target)
            return source
        except FetchError as error:
            failures.append(str(error))
        finally:
            partial.unlink(missing_ok=True)
    raise FetchError("\n".join(failures) or "no source is given (SEED_SOURCES in docker/postgres/dataset.env)")


def main():
    chosen = settings()
    if not chosen["SEED_FILE"]:
        sys.exit("No data set is chosen: docker/postgres/dataset.env says how to add one.")
    target = HERE.parent.parent / "data" / chosen["SEED_FILE"]

    def show(done, total):
        if sys.stderr.isatty():
            share = f"{done / total:4.0%}" if total else ""
            print(f"\rdata/{target.name}: {done / 1e6:,.1f} MB {share}", end="", file=sys.stderr, flush=True)

    try:
        source = fetch(shlex.split(chosen["SEED_SOURCES"]), target, chosen["SEED_SHA256"], show)
    except (FetchError, OSError) as error:
        sys.exit(
            f"data/{target.name} could not be fetched:\n{error}\nWith the file at hand, copy it to data/{target.name}, then: make dataset"
        )
    print(f"\rdata/{target.name}: " + (f"fetched from {source}" if source else "is there already"))


if __name__ == "__main__":
    main()
