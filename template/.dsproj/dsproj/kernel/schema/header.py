"""Does the first row of a file name its columns?"""

import re
from collections import Counter
from collections.abc import Callable, Iterable

from dsproj.errors import Problem
from dsproj.kernel.schema.column_types import shown
from dsproj.kernel.schema.kinds import MISSING

Rows = list[list[str]]
MOST_TITLES = 300  # lines above a table that are looked for
MANY = 20  # of such lines: the table has to have numbers then


def is_number(text: str) -> bool:
    return re.match(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*\Z", text) is not None


def is_year(text: str) -> bool:
    return re.fullmatch(r"(1[89]|20)\d\d", text.strip()) is not None


def is_missing(text: str) -> bool:
    return text.strip().lower() in ("", *MISSING)


def is_date(text: str) -> bool:
    return re.match(r"\s*(\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3\d{4})([ T]|\s*\Z)", text) is not None


def is_truth(text: str) -> bool:
    return text.strip().lower() in ("true", "false")


def is_title(rows: Rows) -> bool:
    """Is the first row a line of text above the table, its other columns empty? The second row has the names then."""
    first = rows[0]
    return len(first) > 2 and bool(first[0]) and not any(first[1:]) and len(rows) > 1 and all(rows[1])


def has_header(rows: Rows) -> bool:
    """Does the first row name the columns? Numbers above numbers, or words that come again below, do not."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    numbers = [index for index, cell in enumerate(first) if is_number(cell)]
    if not rest:
        return not numbers
    if numbers:
        return are_labels(first, numbers, rest)
    columns = list(zip(*rest, strict=True))
    if is_above_values(first, columns):
        return True
    named = [cell for cell in first if not is_missing(cell)]
    if not named or len(set(named)) < len(named) - 2:
        return False
    return are_new(first, columns)


def is_above_values(first: Iterable[str], columns: Iterable[tuple[str, ...]]) -> bool:
    """Is some cell a word, and the others of its column mostly numbers, or nearly all dates, or all truth values?"""
    for cell, column in zip(first, columns, strict=True):
        for holds, least in ((is_number, 0.5), (is_date, 0.9), (is_truth, 0.9)):
            if not is_missing(cell) and not holds(cell) and share(holds, column) > least:
                return True
    return False


def are_new(first: Iterable[str], columns: list[tuple[str, ...]]) -> bool:
    """Do most of these cells not come again in their columns, and does none of them look like the values there?"""
    named = [(cell, column) for cell, column in zip(first, columns, strict=True) if not is_missing(cell)]
    again = sum(cell in column for cell, column in named)
    return again * 2 < len(named) and not is_like_the_others(first, columns)


def share(holds: Callable[[str], bool], values: Iterable[str]) -> float:
    """The share of those that are there for which it holds."""
    there = [value for value in values if not is_missing(value)]
    return sum(map(holds, there)) / max(len(there), 1)


def are_labels(first: list[str], numbers: list[int], rest: Rows) -> bool:
    """Are the numbers in the first row, in columns `numbers`, names of columns?"""
    labels = [first[index] for index in numbers]
    if goes_up(labels) and 2 < len(labels) < len(first):
        return True
    if labels == [str(number) for number in range(len(labels))] and (len(labels) > 2 or first[0] == ""):
        return True  # as pandas writes a table without names
    below = [row[index] for row in rest for index in numbers]
    if all(map(is_year, labels)) and len(set(labels)) == len(labels) < len(first):
        return share(is_year, below) < 0.5 and are_new_but(numbers, first, rest)
    return not any(map(is_number, below))


def are_new_but(numbers: list[int], first: list[str], rest: Rows) -> bool:
    """are_new, these columns aside."""
    others = [index for index in range(len(first)) if index not in numbers]
    columns = list(zip(*rest, strict=True))
    return are_new([first[index] for index in others], [columns[index] for index in others])


def goes_up(labels: list[str]) -> bool:
    """A wide table has a column for each year, or for each hour: whole numbers that go up by one step."""
    if not all(map(str.isdigit, labels)):
        return False
    steps = {int(after) - int(before) for before, after in zip(labels, labels[1:], strict=False)}
    return len(steps) == 1 and steps.pop() > 0


def shape(text: str) -> str:
    """AK-17 -> A-9, col1 -> a9: how a value is made up."""
    return re.sub(r"([Aa9])\1+", r"\1", re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", re.sub(r"\d", "9", text))))


def is_made_alike(text: str, values: list[str]) -> bool:
    """Is a text with digits made up as nearly all of these values, small letters or large, but no col1 above A1, B2?"""
    made_up, others = shape(text), list(map(shape, values))
    alike = sum(other.upper() == made_up.upper() for other in others)
    in_another_case = made_up not in others and len(set(others)) == 1
    return "9" in made_up and len(made_up) > 1 and alike > 0.9 * len(others) > 0 and not in_another_case


def is_like_the_others(first: Iterable[str], columns: Iterable[Iterable[str]]) -> bool:
    """Is some cell made up of letters and digits just as those below it are, such as AK-1 above AK-2?"""
    pairs = zip(first, columns, strict=True)
    return any(is_made_alike(cell, [value for value in column if not is_missing(value)]) for cell, column in pairs)


def has_second_line(rows: Rows) -> bool:
    """Does the second row belong to the header too: units, or names below those of groups, above columns of numbers?"""
    width = len(rows[0])
    second, rest = rows[1] if len(rows) > 1 else [], [row for row in rows[2:] if len(row) == width]
    if len(rest) < 2 or len(second) != width:
        return False
    numbers = [index for index, column in enumerate(zip(*rest, strict=True)) if share(is_number, column) > 0.9]
    words = [index for index in numbers if not is_missing(second[index]) and not is_number(second[index])]
    return bool(words) and len(words) == sum(bool(second[index].strip()) for index in numbers)


def second_table(rows: Rows) -> int | None:
    """Where the header of another table stands: words, with numbers in every column below it, and above it in none."""
    number = max((number for number, row in enumerate(rows) if not any(map(is_number, row))), default=0)
    names, above, below = rows[number], rows[:number], rows[number + 1 :]
    width = len(names)
    if number < 3 or len(below) < 5 or width < 2 or {len(row) for row in [rows[0], *below]} != {width}:
        return None
    if len(set(names)) < width or any(map(is_missing, names)):
        return None
    return number if max(numbers_by_column(above, width)) < 0.5 and min(numbers_by_column(below, width)) > 0.9 else None


def refuse_others_above(rows: Rows, line: int) -> None:
    """Raise a Problem where a title, or another table, stands above the table; the first row is on this line."""
    anyway = "make dataset SOURCE=… HEADER=yes"
    if is_title(rows):
        raise Problem(
            f"line {line} has a value in one column only: is it a title above the table? "
            f"Remove it; if it does name the columns: {anyway}"
        )
    if number := second_table(rows):
        raise Problem(
            f"row {number + 1} ({shown(', '.join(rows[number]), 80)}) looks like the header of another table, with numbers "
            f"below it and none above it: save the two apart; if it is one table: {anyway}"
        )


def numbers_by_column(rows: Rows, width: int) -> list[float]:
    """In each column, the share of numbers."""
    return [share(is_number, [row[column] for row in rows if len(row) > column]) for column in range(width)]


def is_fixed_width(rows: Rows) -> bool:
    """Lines of one column, all of one length and made up alike: columns that nothing separates?"""
    lines = [row[0] for row in rows if len(row) == 1]
    if len(lines) < max(3, len(rows)) or len({len(line) for line in lines}) > 1 or len(lines[0]) < 8:
        return False
    digits = [{line[place].isdigit() for line in lines} for place in range(len(lines[0]))]
    return sum(each == {True} for each in digits) > 1 and any(each == {False} for each in digits)


# --- above the header


def title_above(rows: Rows, skip: int) -> str:
    """What to say of lines of one value above rows of several, "" where there is nothing to say."""
    above = next((number for number, row in enumerate(rows) if len(row) > 1), 0)
    if not 0 < above <= MOST_TITLES:
        return ""
    what = what_follows(rows[above:], above)
    lines = f"line {skip + 1} has 1 value" if above == 1 else f"lines {skip + 1} to {skip + above} have 1 value"
    return what and f"{lines}, the others have {what}"


def what_follows(rows: Rows, above: int) -> str:
    """How wide nearly all rows below so many lines are, and what to do; "" where they are no table, or no two."""
    prose = has_sentences(rows)
    widths = Counter(map(len, rows)).most_common(2)
    width, number = widths[0]
    if above > MANY and max(numbers_by_column(rows[1:], width)) < 0.9:
        return ""
    if above == 1 and width > 1 and number > 0.9 * len(rows):
        return f"{width}: is it a title above the table? Remove it"
    if above > 1 and width > 1 and number > 0.9 * len(rows) > 1 and not prose:
        return f"{width}: are they above the table? Remove them"
    if min(widths)[0] > 2 and sum(number for _, number in widths) > 0.9 * len(rows) and not prose:
        two = " or ".join(str(width) for width, _ in sorted(widths))
        return f"{two}: are these several tables? Have each in a file of its own"
    return ""


def has_sentences(rows: Rows) -> bool:
    """Do most commas have a blank behind them, those before numbers aside?"""
    cells = [cell for row in rows for cell in row[1:] if not is_number(cell)]
    return sum(cell.startswith(" ") for cell in cells) * 2 > len(cells)
