import os
from uuid import uuid4

import pytest
from dsproj.kernel.where import Unavailable
from lib import mongo
from lib.mongo import connect_to_mongo

needs_mongo = pytest.mark.skipif(not os.environ.get("MONGO_URL"), reason="MONGO_URL is not set")


@needs_mongo
def test_a_document_comes_back():
    client = connect_to_mongo()
    assert connect_to_mongo() is client
    name = f"test_{uuid4().hex[:12]}"
    try:
        client[name]["things"].insert_one({"_id": 1, "words": "déjà vu"})
        assert client[name]["things"].find_one({"_id": 1})["words"] == "déjà vu"
    finally:
        client.drop_database(name)


def test_a_missing_server_is_said_with_the_command_that_starts_it(monkeypatch):
    monkeypatch.setattr(mongo, "_clients", {})
    monkeypatch.setattr(mongo, "WAIT_MILLISECONDS", 200)
    monkeypatch.setenv("MONGO_URL", "mongodb://someone:secret@127.0.0.1:1/")
    with pytest.raises(Unavailable, match="make up") as failure:
        connect_to_mongo()
    assert "secret" not in str(failure.value)
