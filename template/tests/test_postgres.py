import pandas as pd
import pytest

from lib.postgres import connect_to_postgres, encode_target, encode_targets, read_frame, write_frame

CODING = {"label": "label", "codes": {"no": 0, "yes": 1}}


def test_rows_go_by_name_and_by_position(table: str) -> None:
    _, cur = connect_to_postgres()
    cur.execute(f"SELECT _id, label FROM {table} WHERE _id = %s", [2])
    row = cur.fetchone()
    _id, label = row
    assert (_id, label, row["label"]) == (2, "yes", "yes")


def test_encode_one_row(table: str) -> None:
    assert encode_target(2, table=table, **CODING) == 1
    assert encode_target(10, table=table, **CODING) is None
    with pytest.raises(KeyError):
        encode_target(99, table=table, **CODING)


def test_encode_a_range(table: str) -> None:
    assert encode_targets(2, 11, table=table, **CODING) == 3
    assert read_frame(f"SELECT target FROM {table} ORDER BY _id")["target"].tolist() == [pd.NA, 1, pd.NA, 0]


def test_a_frame_comes_back(table: str) -> None:
    df = pd.DataFrame({"number": pd.array([1, None], dtype="Int64"), "words": ["", None]})
    write_frame(df, table, if_exists="replace")
    pd.testing.assert_frame_equal(read_frame(f"SELECT * FROM {table}"), df)
