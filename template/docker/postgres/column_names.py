"""Tidy SQL names for the columns of a file."""

import re
import unicodedata

LONGEST = 63  # bytes, PostgreSQL's limit
# PostgreSQL's reserved words and system columns; _id and target are the project's own columns.
RESERVED = set(
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation "
    "column concurrently constraint create cross current_catalog current_date current_role current_schema current_time "
    "current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze "
    "from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like "
    "limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary "
    "references returning right select session_user similar some symmetric system_user table tablesample then to "
    "trailing true union unique user using variadic verbose when where window with "
    "cmax cmin ctid tableoid xmax xmin _id target".split()
)
LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "o", "Ø": "O", "œ": "oe", "ł": "l", "Ł": "L", "đ": "d", "ı": "i"}
)
# cropName and HTTPServer are two words, pH and CO2 are one.
WORDS = re.compile(r"(?<=[a-z]{2})(?=[A-Z])|(?<=[a-z]\d)(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")


def column_names(titles):
    """Distinct snake_case names in plain letters, one for each title; what has no such letters is column_<number>."""
    names, taken = [], set()
    for number, title in enumerate(titles, start=1):
        plain = unicodedata.normalize("NFKD", title.translate(LETTERS)).encode("ascii", "ignore").decode()
        name = re.sub(r"[^a-z0-9]+", "_", WORDS.sub("_", plain).lower()).strip("_") or f"column_{number}"
        if name[0].isdigit() or name in RESERVED:
            name = f"column_{name}"
        name = name[:LONGEST].rstrip("_")
        base, count = name, 2
        while name in taken or name in RESERVED:
            ending = f"_{count}"
            name, count = base[: LONGEST - len(ending)].rstrip("_") + ending, count + 1
        taken.add(name)
        names.append(name)
    return names
