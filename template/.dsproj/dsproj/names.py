"""Names of columns, tables and data files: plain letters, so that no shell, no file system and no query minds."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from collections.abc import Iterable
from typing import Any

LINKS = ("http://", "https://", "s3://", "gs://", "hf://", "kaggle://")
LONGEST = 63  # bytes, PostgreSQL's limit
# PostgreSQL's reserved words; its system columns, and the project's own: columns _id and target, table dsproj_seed.
RESERVED = frozenset(
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation "
    "column concurrently constraint create cross current_catalog current_date current_role current_schema current_time "
    "current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze "
    "from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like "
    "limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary "
    "references returning right select session_user similar some symmetric system_user table tablesample then to "
    "trailing true union unique user using variadic verbose when where window with".split()
)
RESERVED_TABLES = RESERVED | {"dsproj_seed"}
RESERVED_COLUMNS = RESERVED | {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin", "_id", "target"}
# What no other rule makes plain. An umlaut is two letters, as in German.
PLAIN: dict[int, Any] = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "Ae"}
    | {"œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "þ": "th", "Þ": "Th"}
    | {"ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T"}
)
# Files that macOS or Windows adds to a folder or an archive.
OF_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini")
# Names of files that hold several tables.
WITH_PARTS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".sqlite", ".sqlite3", ".db", ".duckdb")
# cropName and HTTPServer are two words, pH and CO2 are one.
WORDS = re.compile(r"(?<=[a-z]{2})(?=[A-Z])|(?<=[a-z]\d)(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")


def column_names(titles: Iterable[str]) -> list[str]:
    """Distinct snake_case names in plain letters, one for each title; what has no such letters is column_<number>."""
    names: dict[str, None] = {}  # in their order
    for number, title in enumerate(titles, start=1):
        name = re.sub(r"[^a-z0-9]+", "_", WORDS.sub("_", plain(title)).lower()).strip("_") or f"column_{number}"
        if name[0].isdigit() or name in RESERVED_COLUMNS:
            name = f"column_{name}"
        base = name = name[:LONGEST].rstrip("_")
        count = 2
        while name in names or name in RESERVED_COLUMNS:
            ending = f"_{count}"
            name, count = base[: LONGEST - len(ending)].rstrip("_") + ending, count + 1
        names[name] = None
    return list(names)


def plain(text: str) -> str:
    """The text in ASCII: Größe is Groesse, Crème is Creme; what has no such letters is left out."""
    whole = unicodedata.normalize("NFC", text)  # macOS parts a letter from its dots
    return unicodedata.normalize("NFKD", whole.translate(PLAIN)).encode("ascii", "ignore").decode()


def identifier(name: str) -> str:
    """A name of column_names or of a table, as SQL takes it."""
    return f'"{name}"' if name in RESERVED_COLUMNS else name


def is_table_name(text: str) -> bool:
    """May a table be called so, as far as its letters go: lower-case ones, digits and _, no digit first?"""
    return re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", text) is not None


def is_link(source: str) -> bool:
    """Is this a link, not a path?"""
    return source.startswith(LINKS)


def has_key(link: str) -> bool:
    """Does a link say who asks, so that git is no place for it?"""
    return bool(
        re.search(r"(?i)[?&](x-amz-signature|x-goog-signature|signature|sig|token|access_token|api_?key)=", link)
    )


def base_name(source: str) -> str:
    """The last part of a path or link; of a link, the place of a zip archive's member is left to file_name."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(source).path) if is_link(source) else source
    if "/spreadsheets/" in path and path.endswith("/export"):  # of Google
        return "sheet.csv"
    return path.rstrip("/").rpartition("/")[2]


def table_name(source: str) -> str:
    """The name of a table for a path or link, as copier.yml derives it."""
    name = re.sub(r"[^a-z0-9]+", "_", plain(base_name(source).split(".")[0]).lower()).strip("_") or "data"
    return (name if name[0].isalpha() else f"t_{name}")[:48].rstrip("_")


def is_archive(source: str) -> bool:
    """May what is named after the "#" of a link be a file in a zip archive? Not in a workbook or a database."""
    return is_link(source) and not base_name(source).lower().endswith(WITH_PARTS)


def file_name(source: str, table: str) -> str:
    """The name in data/ for a path or link."""
    member = source.partition("#")[2] if is_archive(source) else ""
    stem, dot, rest = re.sub(r"[^A-Za-z0-9._-]+", "_", plain(base_name(member or source))).partition(".")
    return (stem.strip("_-") or table)[:100] + (dot + rest)[:40]
