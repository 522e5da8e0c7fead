"""A sheet of a workbook (.xlsx, .xlsb, .xls, .ods): rows of cells, whose columns get their types as those of a CSV file do."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from dsproj.errors import Problem
from dsproj.kernel.tables import Source, chosen_part

ROWS = 10_000


def blocks(source: Source) -> Iterator[list[list[str | None]]]:
    """Rows of text; the sheet is in memory as a whole."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(source.path))
    except CalamineError as error:
        if "password" in str(error).lower():
            raise Problem("the workbook has a password: save it without one") from None
        raise Problem(f"this is no workbook, or a damaged one: {error}") from None
    filled = [name for name in book.sheet_names if source.part or book.get_sheet_by_name(name).height]
    name = chosen_part(source, filled, "sheet")
    rows = [row for row in book.get_sheet_by_name(name).to_python() if any(cell != "" for cell in row)]
    if not rows:
        raise Problem(f"sheet {name} is empty")
    for first in range(0, len(rows), ROWS):
        yield [list(map(as_text, row)) for row in rows[first : first + ROWS]]


def as_text(cell: Any) -> str | None:
    """What a CSV file would have for the cell."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell) if cell != "" else None
