"""Bring a data file to data/, whole and checked, or leave everything as it was.

    python3 docker/postgres/fetch_data.py       the files that are missing; `make dataset` calls it and loads them too

Each data set's .env file says which file, where it comes from and its checksum. Standard library only: it runs before
anything is installed. A download goes to a ".part" file first and takes its name when it is whole; what an interrupted
one has left is taken up again, if the server still has the same file.
"""

import errno
import hashlib
import http.client
import json
import os
import shlex
import shutil
import socket
import string
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BLOCK = 1 << 20
TIMEOUT = 20  # seconds without a byte
TRIES = 4  # of a download that breaks off, one after another without a byte gained
RESERVE = 50_000_000  # bytes that a disk shall have left


class FetchError(Exception):
    """The file could not be had; the message says why, in one line."""


class BrokenOff(FetchError):
    """A download ended too early; what has arrived is kept, and trying again may help."""


def settings(path=HERE / "dataset.env"):
    """The variables of a data set's .env file as a dict of str."""
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


def request_for(link):
    """The request for a link as people write it, with blanks and letters that an address may not have."""
    parts = urllib.parse.urlsplit(link)
    if parts.username is not None:
        raise FetchError("a link with a user name or password in it would end up in git; download that file yourself")
    try:
        host = parts.netloc.encode("ascii" if parts.netloc.isascii() else "idna").decode()
    except UnicodeError as error:
        raise FetchError(f"{link}: {parts.netloc} is no name of a host") from error
    path, query = (urllib.parse.quote(part, safe=string.punctuation) for part in (parts.path, parts.query))
    address = urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))
    return urllib.request.Request(address, headers={"User-Agent": "dsproj", "Accept-Encoding": "identity"})


def info_of(partial):
    """Where the link and the version of a partial download are noted."""
    return partial.with_name(f"{partial.stem}.info.part")


def validator(headers):
    """What tells one version of a file on a server from another: a strong ETag, or the time of its last change."""
    etag = headers.get("ETag") or ""
    return etag if etag.startswith('"') else headers.get("Last-Modified") or ""


def noted(partial, link):
    """What is known of the download that the path `partial` is a part of, {} where it cannot be taken up again."""
    try:
        info = json.loads(info_of(partial).read_text(encoding="utf-8"))
        return info if info["link"] == link and info["version"] and partial.exists() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def download(link, partial, progress):
    """Write what an http(s) link gives to the path `partial`; `progress(done, total)` in bytes, total 0 if unknown."""
    tries = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            return continue_download(link, partial, progress)
        except BrokenOff:
            gained = partial.exists() and partial.stat().st_size > before
            tries = 1 if gained else tries + 1
            if tries == TRIES or not noted(partial, link):
                raise
            time.sleep(tries)


def continue_download(link, partial, progress):
    """One request: the rest of what an earlier one has left where the server can do that, else the whole."""
    request, info = request_for(link), noted(partial, link)
    done = partial.stat().st_size if info else 0
    if info and done == info["total"]:
        return
    if done:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", info["version"])
    place = request.full_url
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
            if reply.status != 206 or not reply.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
                done = 0
            length = reply.headers.get("Content-Length")
            total = done + int(length) if length else 0
            need_room(partial, total - done)
            info = {"link": link, "version": validator(reply.headers), "total": total}
            info_of(partial).write_text(json.dumps(info), encoding="utf-8")
            with open(partial, "ab" if done else "wb") as file:
                while block := reply.read1(BLOCK):
                    file.write(block)
                    done += len(block)
                    progress(done, total)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the file on the server is shorter now
            partial.unlink()
            return continue_download(link, partial, progress)
        raise FetchError(f"{place}: the server says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise FetchError(f"{place}: {reason(error.reason, request)}") from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise BrokenOff(f"{place}: the connection ended after {done} bytes") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise FetchError(f"{place}: {error.strerror or error}") from error
        raise FetchError(f"{place}: the disk is full after {done / 1e6:,.0f} MB") from error
    except ValueError as error:
        raise FetchError(f"{place}: {error}") from error
    if total and done != total:
        raise BrokenOff(f"{place}: the connection ended after {done} of {total} bytes")
    if not total:
        info_of(partial).write_text(json.dumps(info | {"total": done}), encoding="utf-8")


def reason(error, request):
    """Why no server answers, in words."""
    if isinstance(error, socket.gaierror):
        return f"the host {request.host} is not known (a slip in its name, or no network)"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT} s"
    return getattr(error, "strerror", None) or error


def need_room(partial, size):
    """FetchError where the disk has no room for `size` more bytes."""
    free = shutil.disk_usage(partial.parent).free
    if size + RESERVE > free:
        raise FetchError(f"data/ has no room: the file needs {size / 1e6:,.0f} MB more, {free / 1e6:,.0f} MB are free")


def extract(source, member, partial):
    """Replace a zip archive at the path `partial` by one member of it."""
    archive = partial.with_name(partial.name + ".zip.part")
    os.replace(partial, archive)
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as packed, open(partial, "wb") as file:
            shutil.copyfileobj(packed, file, BLOCK)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FetchError(f"{source}: no zip archive with {member} in it") from error
    finally:
        archive.unlink()


def copy(source, partial, progress):
    """Copy a local file, a leading ~ included, to the path `partial`."""
    path = Path(source).expanduser()
    try:
        total = path.stat().st_size
        with open(path, "rb") as original, open(partial, "wb") as file:
            need_room(partial, total)
            while block := original.read(BLOCK):
                file.write(block)
                progress(file.tell(), total)
    except OSError as error:
        raise FetchError(f"{path}: {error.strerror}") from error


def is_web_page(path):
    """Does the file begin as HTML does? A server that wants a login first, say, answers with a page and status 200."""
    with open(path, "rb") as file:
        start = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


def obtain(sources, target, checksum="", progress=lambda done, total: None):
    """Bring the first of `sources` that can be had to a ".part" file beside the path `target`; (source, partial).

    Raises FetchError with a line for each source that failed. Only a download that broke off leaves its part behind.
    """
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(target.name + ".part")
    failures = []
    for source in sources:
        try:
            if is_link(source):
                link, _, member = source.partition("#")
                download(link, partial, progress)
            else:
                member = ""
                copy(source, partial, progress)
            if is_web_page(partial):
                raise FetchError(f"{source}: this is a web page, not data; the link of the file itself is needed")
            if partial.stat().st_size == 0:
                raise FetchError(f"{source}: the file is empty")
            if member:
                extract(source, member, partial)
            if checksum and (found := sha256(partial)) != checksum:
                raise FetchError(f"{source}: refused, its SHA-256 is {found[:12]}… and should be {checksum[:12]}…")
            # Readable for the user that the database server runs as; on the disk before it takes its name.
            partial.chmod(0o644)
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
            return source, partial
        except BrokenOff as error:
            failures.append(str(error))
            if source is not sources[-1] or not noted(partial, link):
                forget(partial)
        except FetchError as error:
            failures.append(str(error))
            forget(partial)
    raise FetchError("\n".join(failures) or "no source is given (SEED_SOURCES)")


def forget(partial):
    """Remove a partial file and what is noted of it."""
    partial.unlink(missing_ok=True)
    info_of(partial).unlink(missing_ok=True)


def fetch(sources, target, checksum="", progress=lambda done, total: None):
    """Bring the first of `sources` that can be had to the path `target`; returns the source, or None if it was there.

    A file that is there already is never replaced. Raises FetchError with a line for each source that failed.
    """
    if target.exists():
        return None
    source, partial = obtain(sources, target, checksum, progress)
    os.replace(partial, target)
    forget(partial)
    return source


def note_checksum(path, checksum):
    """Write the checksum into a data set's .env file that has none, so that a clone can check what it fetches."""
    text = path.read_text(encoding="utf-8")
    replace_text(path, text.replace("\nSEED_SHA256=\n", f"\nSEED_SHA256={checksum}\n"))


def replace_text(path, text):
    """Replace a file by a text, whole or not at all, readable for the server."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.chmod(0o644)
    os.replace(partial, path)


def show(name):
    """A progress(done, total) that draws a line on a terminal, several times a second."""
    last = 0

    def draw(done, total):
        nonlocal last
        if sys.stderr.isatty() and (time.monotonic() - last > 0.1 or done == total):
            last = time.monotonic()
            share = f"{done / total:4.0%}" if total else ""
            end = "\n" if done == total else ""
            print(f"\rdata/{name}: {done / 1e6:,.1f} MB {share}", end=end, file=sys.stderr, flush=True)

    return draw


def fetch_set(env):
    """Fetch the file of one data set, if it is missing; `env` is the path of its .env file. The line to print."""
    chosen = settings(env)
    target = HERE.parent.parent / "data" / chosen["SEED_FILE"]
    sources = shlex.split(chosen["SEED_SOURCES"])
    if target.exists():
        return f"data/{target.name}: is there already"
    try:
        source = fetch(sources, target, chosen["SEED_SHA256"], show(target.name))
    except (FetchError, OSError) as error:
        raise FetchError(
            f"data/{target.name} could not be fetched:\n{error}\n"
            f"With the file at hand, copy it to data/{target.name}, then: make dataset"
        ) from error
    if not chosen["SEED_SHA256"]:
        note_checksum(env, sha256(target))
    return f"data/{target.name}: fetched from {source}"


def main():
    files = [HERE / "dataset.env", *sorted((HERE / "datasets").glob("*.env"))]
    files = [env for env in files if env.exists() and settings(env)["SEED_FILE"]]
    if not files:
        sys.exit("No data set is chosen; to add one: make dataset SOURCE=<path or link>")
    failed = False
    for env in files:
        try:
            print(fetch_set(env))
        except FetchError as error:
            print(error, file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
