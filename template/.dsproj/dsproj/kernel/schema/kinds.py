"""What kinds of values the columns of a table of text in DuckDB hold."""

# Every distinct value of a column gets a kind ("integer", "leading zeros", "day first", ...) by the patterns below. The
# values themselves are never converted here: PostgreSQL reads what the file says.

from typing import Any

from dsproj.database.rewriting import COMMA_NUMBER, GROUPED_NUMBER

# Words that stand for "no value" in columns of numbers, dates and truth values, in lower case; and those that do so in text
# as well, letter by letter: there Na is sodium, and Nan a town.
MISSING = tuple(r"? na n/a n.a. #n/a <na> null \n nan none nil - -- . .. ... #null! #value! #div/0!".split())
MISSING_IN_TEXT = ("?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "\\N", "NaN", "nan")

MONTH = "(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(tember)?|oct(ober)?|nov(ember)?|dec(ember)?)"
CLOCK = r":[0-5]\d(:[0-5]\d(\.\d{1,6})?)?"
TIME = r"([01]?\d|2[0-3])" + CLOCK
YEAR, DAY = r"[1-9]\d\d\d", r"\d\d?"
NUMBER_TIME = rf"(,? ({TIME}|(0?[1-9]|1[0-2]){CLOCK} ?[ap]m))"
ZONE = r"(z|[+-](0\d|1[0-4])(:?[0-5]\d)?)"
# Lists in SQL.
DAY_FORMATS = "['%d/%m/%Y', '%d-%m-%Y', '%d.%m.%Y']"
NAMED_FORMATS = "['%d-%b-%Y', '%d %b %Y', '%d-%B-%Y', '%d %B %Y', '%b %d, %Y', '%B %d, %Y', '%b %d %Y', '%B %d %Y']"

# (kind, condition on v, the value without blanks around it), the first that holds. Patterns do not mind case.
KINDS = [
    ("integer", r"-?(0|[1-9]\d{0,17})|\+(0|[1-9]\d{0,4})"),
    ("grouped", r"[+-]?[1-9]\d{0,2}\.\d{3}"),  # 1.234: a number with three decimals, or with a dot for thousands
    ("decimal", r"[+-]?((0|[1-9]\d*)\.\d*|\.\d+|((0|[1-9]\d*)\.?\d*|\.\d+)e[+-]?\d{1,4})"),
    ("leading zeros", r"[+-]?0\d+(\.\d*)?"),
    ("phone", r"\+\d{6,}"),
    ("long", r"-?\d{19,}"),
    ("infinite", r"[+-]?inf(inity)?"),
    ("thousands", r"[+-]?[1-9]\d{0,2}((,\d{3}){2,}(\.\d+)?|(,\d{3})+\.\d+)"),
    ("three", r"[+-]?[1-9]\d{0,2},\d{3}"),  # 1,234: a decimal comma, or one for thousands
    ("comma", r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+(e[+-]?\d{1,4})?"),
    ("dotted", r"[+-]?[1-9]\d{0,2}(\.\d{3}){2,}"),
    ("boolean", r"true|false"),
    ("letter", r"[tf]"),
    ("date", rf"{YEAR}(-\d\d-\d\d|/\d\d/\d\d)"),
    ("timestamp", rf"{YEAR}(-\d\d-\d\d|/\d\d/\d\d)[t ]{TIME}"),
    ("timestamptz", rf"{YEAR}-\d\d-\d\d[t ]{TIME} ?{ZONE}"),
    ("numbered", rf"{DAY}(/{DAY}/|-{DAY}-|\.{DAY}\.){YEAR}{NUMBER_TIME}?"),
    ("named", rf"({DAY}[- ]{MONTH}[- ]|{MONTH} {DAY},? ){YEAR}"),
]
# What most text is told by, without a look at the patterns.
NO_PATTERN = "length(v) > 45 OR NOT regexp_matches(v, '^[-+.,0-9tfijmasond]', 'i')"
CELLS = 20_000_000  # that are counted at a time
# Where these have their dashes no other pattern has two: asked first, a file full of times is not held against all of them.
DATES = ("date", "timestamp", "timestamptz")
IS_DATE = "v[5:5] IN ('-', '/') AND v[8:8] = v[5:5]"
MOST = 20  # different values of one kind that are kept
DIGITS = "rtrim(ltrim(translate(split_part(lower({}), 'e', 1), '+-.', ''), '0'), '0')"


def quoted(text: str) -> str:
    """An SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def kinds_query(table: str) -> str:
    """SQL: for each column of a table, or a part of one, of text, and each kind of value in it, the rows, examples and bounds."""
    words = ", ".join(map(quoted, MISSING))
    cases = {kind: f" WHEN regexp_full_match(v, {quoted(regex)}, 'i') THEN {quoted(kind)}" for kind, regex in KINDS}
    dates = f" WHEN {IS_DATE} THEN CASE{''.join(cases.pop(kind) for kind in DATES)} ELSE 'other' END"
    patterns = dates + "".join(cases.values())
    day = "regexp_extract(v, '^[0-9]+[-/.][0-9]+[-/.][0-9]{4}')"
    swapped = f"regexp_replace({day}, '^([0-9]+)([-/.])([0-9]+)', '\\3\\2\\1')"
    day_first = f"try_strptime({day}, {DAY_FORMATS}) IS NOT NULL"
    month_first = f"v[3:5] NOT LIKE '%.%' AND try_strptime({swapped}, {DAY_FORMATS}) IS NOT NULL"
    # Digits that a double has: the fewest that are read as it again, or as many as the file writes of it.
    digits, double = DIGITS.format("u"), "try_cast(u AS DOUBLE)"
    written = "least(60, greatest(length(ltrim(translate(split_part(lower(u), 'e', 1), '+-.', ''), '0')) - 1, 0))"
    fewest, as_many = (
        DIGITS.format(f"{double}::VARCHAR"),
        DIGITS.format(f"format('{{:.' || {written} || 'e}}', {double})"),
    )
    return f"""
WITH counted AS (
    SELECT name, raw, count(*) AS n FROM {table} UNPIVOT INCLUDE NULLS (raw FOR name IN (COLUMNS(*))) GROUP BY ALL
),
bare AS (  -- on its own: the many uses of v would each be planned with all that it is made of
    SELECT name, raw, n, CASE WHEN regexp_matches(raw, E'^[ \\t]|[ \\t]$') THEN trim(raw, E' \\t') ELSE raw END AS v
    FROM counted
),
patterned AS (
    SELECT name, raw, n, v, CASE WHEN raw IS NULL THEN 'empty' WHEN raw = '' THEN 'quoted empty' WHEN v = '' THEN 'blank'
        WHEN lower(v) IN ({words}) THEN 'word' WHEN {NO_PATTERN} THEN 'other'{patterns} ELSE 'other' END AS pattern
    FROM bare
),
kinds AS (
    SELECT name, raw, n, v, CASE
        WHEN pattern IN ('date', 'timestamp', 'timestamptz') THEN
            CASE WHEN try_cast(replace(v[:10], '/', '-') AS DATE) IS NOT NULL THEN pattern ELSE 'other' END
        WHEN pattern = 'named' THEN CASE WHEN try_strptime(v, {NAMED_FORMATS}) IS NOT NULL THEN pattern ELSE 'other' END
        WHEN pattern = 'numbered' THEN
            CASE WHEN {day_first} THEN CASE WHEN {month_first} THEN 'either' ELSE 'day first' END
                WHEN {month_first} THEN 'month first' ELSE 'other' END || CASE WHEN contains(v, ':') THEN ' time' ELSE '' END
        ELSE pattern END AS kind,
        CASE WHEN pattern IN ('comma', 'three', 'dotted') THEN replace(replace(v, '.', ''), ',', '.')
            WHEN pattern = 'thousands' THEN replace(v, ',', '') ELSE v END AS u
    FROM patterned
)
SELECT name, kind, CASE WHEN kind = 'word' THEN v END AS word, sum(n)::BIGINT AS rows,
    min(v) AS example, min(raw, {MOST + 1}) AS some, min(length(v)) AS shortest, max(length(v)) AS longest,
    max(CASE WHEN kind = 'integer' OR kind IN ('three', 'thousands') AND NOT contains(v, '.')
        THEN abs(try_cast(replace(v, ',', '') AS BIGINT)) END) AS largest,
    bool_or(CASE WHEN kind IN ('integer', 'grouped', 'decimal', 'comma', 'three', 'dotted', 'thousands')
        AND (length(u) > 15 OR contains(lower(u), 'e'))
        THEN {digits} IS DISTINCT FROM {fewest} AND {digits} IS DISTINCT FROM {as_many} END) AS inexact,
    bool_or((contains(v, ',') OR contains(v, '.')) AND regexp_full_match(v, {quoted(COMMA_NUMBER.decode())})) AS comma_like,
    bool_or(contains(v, ',') AND regexp_full_match(v, {quoted(GROUPED_NUMBER.decode())})) AS grouped_like,
    bool_or(kind = 'thousands' AND contains(v, '.')) AS fraction,
    bool_or(raw <> v) AS blanks, bool_and(raw LIKE ' %') AS padded,
    bool_and(regexp_full_match(v, '[A-Z][A-Z]')) AS short_codes
FROM kinds GROUP BY ALL"""


# Of the kinds in several parts of a table, those in all of it.
TOGETHER = f"""
SELECT name, kind, word, sum(rows)::BIGINT AS rows, min(example) AS example,
    list_sort(list_distinct(flatten(list("some"))))[:{MOST + 1}] AS some, min(shortest) AS shortest, max(longest) AS longest,
    max(largest) AS largest, bool_or(inexact) AS inexact, bool_or(comma_like) AS comma_like,
    bool_or(grouped_like) AS grouped_like, bool_or(fraction) AS fraction, bool_or(blanks) AS blanks,
    bool_and(padded) AS padded, bool_and(short_codes) AS short_codes
FROM found GROUP BY ALL ORDER BY rows DESC, kind DESC, word"""


def kinds_of(connection: Any, table: str, width: int) -> Any:
    """A cursor of the kinds in a table of so many columns: by parts, since all its different values may be more than memory holds."""
    (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    step = max(CELLS // width, 1)
    for number, first in enumerate(range(0, max(rows, 1), step)):
        part = f"(SELECT * FROM {table} WHERE rowid BETWEEN {first} AND {first + step - 1})" if rows > step else table
        connection.execute(("INSERT INTO found" if number else "CREATE TEMP TABLE found AS") + kinds_query(part))
    return connection.execute(TOGETHER)
