"""Lines of text whose columns have given widths; blanks around the values are no part of them."""

import itertools
from collections.abc import Iterator

from dsproj.database.data_files import unpacked
from dsproj.database.normalise import BLOCK, decoded, whole_rows
from dsproj.errors import Problem
from dsproj.kernel.schema.dialect import find_encoding
from dsproj.kernel.tables import Source


def blocks(source: Source) -> Iterator[list[list[str | None]]]:
    """Rows of text."""
    if min(source.widths) < 1:
        raise Problem(f"WIDTHS={','.join(map(str, source.widths))}: a width is 1 or more")
    edges = [0, *itertools.accumulate(source.widths)]
    encoding, line = source.encoding or find_encoding(source.path, "")[0], 0
    with unpacked(source.path) as file:
        text = decoded(iter(lambda: file.read(BLOCK), b""), encoding, check=True)
        for block in whole_rows(text, len):
            text_of_block = block.decode().replace("\r\n", "\n").replace("\r", "\n")
            rows, texts = [], text_of_block.removesuffix("\n").split("\n")
            for number, each in enumerate(texts, start=line + 1):
                if each[edges[-1] :].strip():
                    raise Problem(f"line {number} is longer than WIDTHS says: {edges[-1]} characters")
                if each.strip():
                    rows.append([each[first:end].strip() or None for first, end in itertools.pairwise(edges)])
            line += len(texts)
            yield rows
