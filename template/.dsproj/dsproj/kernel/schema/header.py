"""Does the first row of a file name its columns?"""

import re


def is_number(text: str) -> bool:
    return re.match(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*\Z", text) is not None


def is_year(text: str) -> bool:
    return re.fullmatch(r"(1[89]|20)\d\d", text.strip()) is not None


def is_title(rows: list[list[str]]) -> bool:
    """Is the first row a line of text above the table, its other columns empty? The second row has the names then."""
    first = rows[0]
    return len(first) > 2 and bool(first[0]) and not any(first[1:]) and len(rows) > 1 and all(rows[1])


def has_header(rows: list[list[str]]) -> bool:
    """Does the first row name the columns? Numbers above numbers, or words that come again below, do not."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    numbers = [index for index, cell in enumerate(first) if is_number(cell)]
    if not rest:
        return not numbers
    if numbers:
        return are_labels(first, numbers, rest)
    named = [cell for cell in first if cell]
    if len(set(named)) < len(named) - 2:
        return False
    columns = list(zip(*rest, strict=True))
    if any(sum(map(is_number, column)) > 0.5 * len(rest) for column in columns):
        return True
    again = sum(bool(cell) and cell in column for cell, column in zip(first, columns, strict=True))
    return again * 2 < len(first)


def are_labels(first: list[str], numbers: list[int], rest: list[list[str]]) -> bool:
    """Are the numbers in the first row, in columns `numbers`, names of columns?"""
    labels = [first[index] for index in numbers]
    if goes_up(labels) and 2 < len(labels) < len(first):
        return True
    if labels == [str(number) for number in range(len(labels))] and (len(labels) > 2 or first[0] == ""):
        return True  # as pandas writes a table without names
    below = [row[index] for row in rest for index in numbers]
    if all(map(is_year, labels)) and 1 < len(set(labels)) == len(labels) < len(first):
        return sum(map(is_year, below)) < 0.5 * len(below)
    return not any(map(is_number, below))


def goes_up(labels: list[str]) -> bool:
    """A wide table has a column for each year, or for each hour: whole numbers that go up by one step."""
    if not all(map(str.isdigit, labels)):
        return False
    steps = {int(after) - int(before) for before, after in zip(labels, labels[1:], strict=False)}
    return len(steps) == 1 and steps.pop() > 0
