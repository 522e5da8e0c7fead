"""What a person gives as SOURCE: a path or link that can be one, or the Problem with it."""

from __future__ import annotations

import os
import re
import urllib.parse
from pathlib import Path

from dsproj.errors import Problem
from dsproj.host.clouds import file_link
from dsproj.names import is_link


def checked_source(source: str) -> str:
    """A link as it is, a path made absolute; Problem where it cannot be either."""
    if re.search(r"[\x00-\x1f\x7f]", source):
        raise Problem("SOURCE: a path or link has no line breaks or control characters")
    if is_link(source := file_link(source)):
        try:
            parts = urllib.parse.urlsplit(source)
            host, _ = parts.hostname, parts.port  # a port that is no number is found out when it is asked for
        except ValueError as error:
            raise Problem(f"SOURCE={source}: this is no valid link ({error})") from None
        if not host:
            raise Problem(f"SOURCE={source}: this link names no host")
        return source
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
        raise Problem(
            f"SOURCE={source}: a path, or a link that starts with http:// or https:// (or s3://, gs://, hf://, kaggle://), please"
        )
    path = Path(os.path.abspath(os.path.expanduser(source)))
    if not path.exists():
        raise Problem(f"SOURCE={source}: there is no such file")
    if not path.is_file():
        raise Problem(f"SOURCE={source}: this is no file" + ("; it is a folder" if path.is_dir() else ""))
    if not os.access(path, os.R_OK):
        raise Problem(f"SOURCE={source}: you may not read this file")
    return str(path)
