import os
from uuid import uuid4

import numpy as np
import pytest
from dsproj.kernel import mongo_client
from dsproj.kernel.where import Unavailable
from lib.memory import peak
from lib.mongo import collection, connect_to_mongo, load_vectors, nearest, store_vectors

needs_mongo = pytest.mark.skipif(not os.environ.get("MONGO_URL"), reason="MONGO_URL is not set")


@pytest.fixture
def name():
    """Of a collection in the project's database; gone at the end."""
    found = f"test_{uuid4().hex[:12]}"
    yield found
    connect_to_mongo()[mongo_client.DATABASE].drop_collection(found)


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
    monkeypatch.setattr(mongo_client, "_clients", {})
    monkeypatch.setattr(mongo_client, "WAIT_MILLISECONDS", 200)
    monkeypatch.setenv("MONGO_URL", "mongodb://someone:secret@127.0.0.1:1/")
    for ask in (connect_to_mongo, lambda: collection("x"), lambda: nearest("x", [1.0])):
        with pytest.raises(Unavailable, match="make up") as failure:
            ask()
        assert "secret" not in str(failure.value) and len(str(failure.value).splitlines()) == 2


@needs_mongo
def test_a_wrong_password_is_said_with_its_cure(monkeypatch):
    head, _, tail = os.environ["MONGO_URL"].partition("@")
    monkeypatch.setattr(mongo_client, "_clients", {})
    monkeypatch.setenv("MONGO_URL", f"{head[:-4]}zzzz@{tail}")
    with pytest.raises(Unavailable, match="refused the connection: .*\nTo finish: make up") as failure:
        connect_to_mongo()
    assert "zzzz" not in str(failure.value)


@needs_mongo
def test_a_server_that_goes_while_it_is_used_is_said_too(monkeypatch, name):
    store_vectors(name, [1], [[1.0, 2.0]])
    found = collection(name)
    # The same collection, of a server that is not there any more.
    gone = mongo_client.MongoClient("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=200)
    for ask in (lambda: nearest(gone.x[name], [1.0, 2.0]), lambda: store_vectors(gone.x[name], [1], [[1.0, 2.0]])):
        with pytest.raises(Unavailable, match="make up"):
            ask()
    assert found.count_documents({}) == 1
    # The same, after the password has changed.
    head, _, tail = os.environ["MONGO_URL"].partition("@")
    other = mongo_client.MongoClient(f"{head[:-4]}zzzz@{tail}")
    with pytest.raises(Unavailable, match="refused the connection: .*\nTo finish: make up, .* restart the kernel"):
        nearest(other[mongo_client.DATABASE][name], [1.0, 2.0])


@needs_mongo
def test_a_collection_that_is_not_there_is_a_key_error_with_those_that_are(name):
    store_vectors(name, [1], [[1.0]])
    for ask in (
        lambda: collection(f"{name}_2"),
        lambda: load_vectors(f"{name}_2"),
        lambda: nearest(f"{name}_2", [1.0]),
    ):
        with pytest.raises(KeyError, match=f"no collection {name}_2; there are: .*{name}.* To make it: "):
            ask()


@needs_mongo
@pytest.mark.parametrize(
    "vectors",
    [
        np.arange(6, dtype="f4").reshape(3, 2),
        np.array([[1.5, np.nan], [np.inf, -0.0], [0, 1e-300]]),
        np.arange(12, dtype="i8").reshape(3, 2, 2),
        np.array([[1, -1], [0, 127], [-128, 3]], dtype="i1"),
        np.array([[True], [False], [True]]),
        np.arange(6, dtype=">f2").reshape(3, 2),
        np.empty((3, 0)),
        [[1, 2], [3, 4], [5, 6]],
    ],
    ids=str,
)
def test_vectors_come_back_with_their_dtype_and_shape(name, vectors):
    wanted = np.asarray(vectors)
    for _ in range(2):  # the second time changes nothing
        assert store_vectors(name, np.array([3, 1, 2]), vectors) == 3
    ids, found = load_vectors(name, [3, 1, 2])
    assert (ids, found.dtype, found.shape) == ([3, 1, 2], wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes()
    assert sorted(load_vectors(name)[0]) == [1, 2, 3]
    np.testing.assert_array_equal(load_vectors(name, [2])[1], wanted[2:])


@needs_mongo
def test_documents_are_stored_with_their_vectors_and_keep_their_own_fields(name):
    store_vectors(name, [{"_id": "a", "words": "one"}, {"words": "two"}], [[1.0, 0], [0, 1.0]])
    collection(name).update_one({"_id": "a"}, {"$set": {"read": True}})
    store_vectors(name, ["a"], [[2.0, 0]])
    ((first, cosine), (second, other)) = nearest(name, [1, 0.1])
    assert first == {"_id": "a", "words": "one", "read": True} and second["words"] == "two"
    assert cosine == pytest.approx(0.99503719) and other == pytest.approx(0.09950372)


@needs_mongo
def test_the_nearest_are_those_of_numpy(name, monkeypatch):
    from dsproj.kernel import vectors as module

    random = np.random.default_rng(7)
    vectors = random.normal(size=(300, 20)).astype("f4")
    vectors[5] = 0
    monkeypatch.setattr(module, "READ", 20 * 4 * 7)  # seven at a time
    store_vectors(name, list(range(300)), vectors)
    asked = random.normal(size=20)
    lengths = np.linalg.norm(vectors, axis=1)
    lengths[5] = 1
    cosines = vectors @ asked / lengths / np.linalg.norm(asked)
    found = nearest(collection(name), asked, 12)
    assert [document["_id"] for document, _ in found] == np.argsort(-cosines)[:12].tolist()
    np.testing.assert_allclose([cosine for _, cosine in found], np.sort(cosines)[::-1][:12], rtol=1e-5)
    assert len(nearest(name, asked, 1000)) == 300 and nearest(name, asked, 0) == []


@needs_mongo
def test_what_cannot_be_stored_or_compared_is_one_error_with_its_cure(name):
    from scipy.sparse import csr_matrix

    store_vectors(name, [1], [[1.0, 2.0]])
    wrong = [
        (lambda: store_vectors(name, [1, 2], [[1.0, 2.0]]), ValueError, "1 vectors for 2 documents"),
        (
            lambda: store_vectors(name, [2], [[1.0]]),
            ValueError,
            r"vector of 1 of float64; .* has 2 of float64 .*\$unset",
        ),
        (lambda: store_vectors(name, [2], np.array([[1, 2]], "f4")), ValueError, "of float32; .* of float64"),
        (lambda: store_vectors(name, [2], [["a", "b"]]), TypeError, "no array of numbers"),
        (lambda: store_vectors(name, [2], np.array([[{}, 1]])), TypeError, "array of object is no array of numbers"),
        (lambda: store_vectors(name, [2], csr_matrix([[1.0, 0]])), TypeError, "sparse matrix.*toarray"),
        (lambda: store_vectors(name, [1, 2], [1.0, 2.0]), ValueError, r"for one vector v it is \[v\]"),
        (lambda: store_vectors(f"{name}_2", [1], np.zeros((1, 2**21))), ValueError, "vector of 16.0 MB.* data/"),
        (
            lambda: store_vectors(name, [{"_id": 2, "text": "x" * 2**24}], [[1.0, 2]]),
            ValueError,
            "document 2: .*larger.* data/",
        ),
        (lambda: store_vectors(name, [{"_id": 2, "x": object()}], [[1.0, 2]]), ValueError, "cannot encode object"),
        (lambda: nearest(name, [1.0, np.nan]), ValueError, "has NaN"),
        (lambda: nearest(name, [1.0, 2, 3]), ValueError, "vector of 3 .* has 2"),
        (lambda: load_vectors(name, [1, 7]), KeyError, "1 of 2 have no vector in .*, such as 7"),
    ]
    for call, kind, said in wrong:
        with pytest.raises(kind, match=said) as failure:
            call()
        assert "\n" not in str(failure.value) and len(str(failure.value)) < 400
    assert load_vectors(name)[0] == [1]


@needs_mongo
def test_the_memory_of_a_search_does_not_grow_with_the_number_of_vectors(name):
    vectors = np.random.default_rng(1).normal(size=(8000, 2048)).astype("f4")  # 62 MB
    store_vectors(name, list(range(3000)), vectors[:3000])
    few = peak(nearest, name, vectors[0])
    store_vectors(name, list(range(3000, 8000)), vectors[3000:])
    assert peak(nearest, name, vectors[0]) - few < 20 << 20  # of 39 MB more
