"""Bring a data file to data/, whole and checked, or leave everything as it was."""
# A download goes to a ".part" file first and takes its name when it is whole; what an interrupted one has left is taken
# up again, if the server still has the same file.

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import string
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dsproj.errors import Problem
from dsproj.files import BLOCK, sha256
from dsproj.host import pacing
from dsproj.host.clouds import address, asked_for, file_link, scheme
from dsproj.host.several import files_of, pack
from dsproj.host.several import size_of as size_of_all
from dsproj.host.source import parted
from dsproj.names import is_archive, is_link

TRIES = 4  # of a download that breaks off, one after another with next to nothing gained
RESERVE = 50_000_000  # bytes that a disk shall have left

Progress = Callable[[int, int], None]  # of (bytes done, bytes in all or 0 where that is not known)


def silent(done: int, total: int) -> None:
    """A progress that shows nothing."""


def fetch(sources: Sequence[str], target: Path, checksum: str = "", progress: Progress = silent) -> str | None:
    """Bring the first of `sources` that can be had to the path `target`; the source, or None if it was there and so stays.

    Raises a Problem with a line for each source that failed.
    """
    if target.exists():
        return None
    source, partial = obtain(sources, target, checksum, progress)
    os.replace(partial, target)
    forget(partial)
    return source


def obtain(sources: Sequence[str], target: Path, checksum: str, progress: Progress) -> tuple[str, Path]:
    """As fetch, but to a ".part" file beside the path `target`; (source, partial)."""
    # Where all fail, only a download that broke off leaves its part behind.
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(target.name + ".part")
    failures = []
    links = [file_link(each) for each in sources]
    for source in links:
        try:
            broken = transfer(source, partial, progress)
            if not broken:
                check(source, partial, checksum)
                return source, partial
            failures.append(broken)
            if source != links[-1] or not noted(partial, source.partition("#")[0]):
                forget(partial)
        except Problem as problem:
            failures.append(problem.what)
            forget(partial)
    raise Problem("\n".join(dict.fromkeys(failures)) or "no source is given (SEED_SOURCES)")


def transfer(source: str, partial: Path, progress: Progress) -> str:
    """Write what a path or link gives to the path `partial`; "", or why a download broke off that can be taken up."""
    if not is_link(source):
        copy(source, partial, progress)
        return ""
    link, _, member = source.partition("#")
    broken = download(link, partial, progress)
    if member and not broken and is_archive(source) and not is_web_page(partial):
        extract(source, member, partial)
    return broken


def check(source: str, partial: Path, checksum: str) -> None:
    """Problem where the file is none of data, or another one; then it is on the disk."""
    if is_web_page(partial):
        raise Problem(f"{source}: this is a web page, not data; the link of the file itself is needed")
    if partial.stat().st_size == 0:
        raise Problem(f"{source}: the file is empty")
    if checksum and (found := sha256(partial)) != checksum:
        raise Problem(f"{source}: refused, its SHA-256 is {found[:12]}… and should be {checksum[:12]}…")
    if is_link(source):  # public, whatever the umask says
        partial.chmod(0o644)
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())


def download(link: str, partial: Path, progress: Progress) -> str:
    """Write what an http(s) link gives to the path `partial`, in several tries; "", or why the last one broke off."""
    tries, before = 0, size_of(partial)
    while broken := request(link, partial, progress):
        tries = 1 if size_of(partial) > before + pacing.SLOWEST * pacing.TIMEOUT else tries + 1
        if tries == TRIES or not noted(partial, link):
            break
        time.sleep(tries)
        before = size_of(partial)
    return broken


def request(link: str, partial: Path, progress: Progress) -> str:
    """One request: the rest of what an earlier one has left where the server can do that, else the whole.

    "", or why it broke off; what has arrived is kept, and trying again may help. Raises a Problem where it may not.
    """
    asked, info = request_for(link), noted(partial, link)
    done = size_of(partial) if info else 0
    if info and done == info["total"]:
        return ""
    if done:
        asked.add_header("Range", f"bytes={done}-")
        asked.add_header("If-Range", info["version"])
    place = link if scheme(link) else asked.full_url
    try:
        with pacing.opened(asked) as reply:
            done, total = receive(reply, link, partial, done, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the file on the server is shorter now
            partial.unlink()
            return request(link, partial, progress)
        raise Problem(
            f"{place}: the server says {refusal(error)}" + asked_for(link) * (error.code in (401, 403))
        ) from None
    except (TimeoutError, socket.timeout, ConnectionError, http.client.HTTPException) as error:
        stalled = (
            f"nothing came for {pacing.TIMEOUT} s,"
            if isinstance(error, (TimeoutError, socket.timeout))
            else "the connection ended"
        )
        return f"{place}: {pacing.SLOW if pacing.SLOW in error.args else stalled} after {size_of(partial)} bytes"
    except (OSError, ValueError) as error:
        # What keeps a host from being reached holds for each link to it, and is then said once.
        where = urllib.parse.urlsplit(place).netloc if isinstance(error, urllib.error.URLError) else place
        raise Problem(f"{where}: {reason(error, partial)}") from None
    if done > total:
        raise Problem(f"{place}: the server says that it is {total} bytes, and sends more")
    return f"{place}: the connection ended after {done} of {total} bytes" if done != total else ""


def receive(reply: Any, link: str, partial: Path, done: int, progress: Progress) -> tuple[int, int]:
    """Write a reply to `partial`, after the `done` bytes that are there if it says so; (bytes done, in all)."""
    if reply.status != 206 or not reply.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
        done = 0
    length = reply.headers.get("Content-Length")
    total = done + int(length) if length else 0
    need_room(partial, total - done)
    # What tells one version of the file from another: a strong ETag, or the time of its last change.
    etag = reply.headers.get("ETag", "")
    version = etag if etag.startswith('"') else reply.headers.get("Last-Modified", "")
    info = {"link": link, "version": version, "total": total}
    info_of(partial).write_text(json.dumps(info), encoding="utf-8")
    reply.length = None  # to the end of what comes: the length that was said is compared
    with open(partial, "ab" if done else "wb") as file:
        while (not total or done <= total) and (block := reply.read1(BLOCK)):
            file.write(block)
            done += len(block)
            progress(done, total)
    if not total:
        info_of(partial).write_text(json.dumps({**info, "total": done}), encoding="utf-8")
    return done, total or done


def refusal(error: urllib.error.HTTPError) -> str:
    """What a server says in place of the file, in one line: the message of an S3 store too."""
    if region := error.headers.get("x-amz-bucket-region", "") * (error.code in (301, 307)):
        return f"that the bucket is in AWS_REGION={region}"
    if "infinite loop" in str(error.reason):
        return f"{error.code}, and leads round in a circle"
    found = re.search(rb"<Message>([^<]+)</Message>", error.read(10_000))
    return f"{error.code} {found[1].decode(errors='replace') if found else error.reason}"


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def request_for(link: str) -> urllib.request.Request:
    """The request for a link as people write it, with blanks and letters that an address may not have."""
    where, headers = address(link)
    parts = urllib.parse.urlsplit(where)
    if parts.username is not None:
        raise Problem("a link with a user name or password in it would end up in git; download that file yourself")
    try:
        host = parts.netloc.encode("ascii" if parts.netloc.isascii() else "idna").decode()
    except UnicodeError:
        raise Problem(f"{link}: {parts.netloc} is no name of a host") from None
    path, query = (urllib.parse.quote(part, safe=string.punctuation) for part in (parts.path, parts.query))
    request = urllib.request.Request(urllib.parse.urlunsplit((parts.scheme, host, path, query, "")))
    for name, value in {"User-Agent": "dsproj", "Accept-Encoding": "identity"}.items():
        request.add_header(name, value)
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    return request


def info_of(partial: Path) -> Path:
    """Where the link and the version of a partial download are noted."""
    return partial.with_name(f"{partial.stem}.info.part")


def noted(partial: Path, link: str) -> dict[str, Any]:
    """What is known of the download that the path `partial` is a part of, {} where it cannot be taken up again."""
    try:
        info: dict[str, Any] = json.loads(info_of(partial).read_text(encoding="utf-8"))
        return info if info["link"] == link and info["version"] and partial.exists() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def reason(error: object, partial: Path) -> object:
    """Why a request failed, in words."""
    error = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, socket.gaierror):
        return "no such host is known (a slip in its name, or no network)"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); to trust a company's own: CA_BUNDLE in .env"
    if "407 " in str(error):
        return "the proxy asks for a password: HTTPS_PROXY=http://name:password@host:port in .env"
    if isinstance(error, (TimeoutError, socket.timeout)):
        return f"no answer within {pacing.TIMEOUT} s"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full after {size_of(partial) / 1e6:,.0f} MB"
    return getattr(error, "strerror", None) or error


def need_room(partial: Path, size: int) -> None:
    """Problem where the disk has no room for `size` more bytes."""
    free = shutil.disk_usage(partial.parent).free
    if size + RESERVE > free:
        needs = f"the file needs {size / 1e6:,.0f} MB more, {RESERVE / 1e6:,.0f} MB have to stay free"
        raise Problem(f"data/ has no room: {needs}, {free / 1e6:,.0f} MB are free")


def extract(source: str, member: str, partial: Path) -> None:
    """Replace a zip archive at the path `partial` by one member of it."""
    archive = partial.with_name(partial.name + ".zip.part")
    os.replace(partial, archive)
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as packed, open(partial, "wb") as file:
            shutil.copyfileobj(packed, file, BLOCK)
    except (zipfile.BadZipFile, KeyError):
        raise Problem(f"{source}: no zip archive with {member} in it") from None
    finally:
        archive.unlink()


def copy(source: str, partial: Path, progress: Progress) -> None:
    """Copy a local file, a leading ~ included, or pack several to the path `partial`, for the eyes of who may read them."""
    path = Path(parted(source)[0]).expanduser()
    try:
        if several := files_of(str(path)):
            close_to_others(partial, [each.stat() for _, each in several])
            need_room(partial, size_of_all(several))
            return pack(several, partial)
        found = path.stat()
        total = found.st_size
        with open(path, "rb") as original, open(partial, "wb") as file:
            close_to_others(partial, [found])
            need_room(partial, total)
            while block := original.read(BLOCK):
                file.write(block)
                progress(file.tell(), total)
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from None


def close_to_others(partial: Path, originals: Sequence[os.stat_result]) -> None:
    """Let nobody read the file at the path `partial`, made if need be, who may not read each of the originals."""
    partial.touch()
    group, mode = partial.stat().st_gid, 0o044
    for found in originals:
        mode &= found.st_mode & (0o044 if found.st_gid == group else 0o004)
    partial.chmod(0o600 | mode)


def is_web_page(path: Path) -> bool:
    """Does the file begin as HTML does? A server that wants a login first, say, answers with a page and status 200."""
    with open(path, "rb") as file:
        start = file.read(1024).removeprefix(b"\xef\xbb\xbf")
    return start.lstrip().lower().startswith((b"<!doctype html", b"<html"))


def forget(partial: Path) -> None:
    """Remove a partial file and what is noted of it."""
    partial.unlink(missing_ok=True)
    info_of(partial).unlink(missing_ok=True)
