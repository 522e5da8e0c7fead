"""The keys of all databases of a Redis, a JSON line each; stores.py says why."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import IO, Any

import redis

from dsproj.errors import Problem
from dsproj.kernel.where import url

# What running workers say of themselves; another machine's are of no use.
OF_WORKERS = (b"rq:worker", b"rq:scheduler-lock", b"rq:clean_registries", b"rq:heartbeat")
BATCH = 1000


def dump(file: IO[bytes]) -> dict[str, int]:
    """Write every key as {"db", "key", "type", "value", "until" in milliseconds where it expires}."""
    count = 0
    for number, client in _databases():
        for key in _keys(client):
            kind = client.type(key).decode()
            if kind == "none":
                continue  # it has expired meanwhile
            entry = {"db": number, "key": _text(key), "type": kind, "value": _read(client, key, kind)}
            until = client.execute_command("PEXPIRETIME", key)
            if until == -2:
                continue
            file.write(json.dumps(entry | ({"until": until} if until > 0 else {})).encode() + b"\n")
            count += 1
    return {"keys": count}


def restore(file: IO[bytes]) -> dict[str, int]:
    """One transaction for each database: the keys that are there go, the saved ones come."""
    clients = dict(_databases())
    lines: dict[int, list[dict[str, Any]]] = {}
    for line in file:
        entry = json.loads(line)
        lines.setdefault(entry["db"], []).append(entry)
    for number in clients.keys() | lines.keys():
        client = clients.get(number) or _client(number)
        with client.pipeline(transaction=True) as transaction:
            for key in _keys(client):
                transaction.delete(key)
            for entry in lines.get(number, ()):
                key = b64decode(entry["key"])
                for command in _commands(key, entry["type"], entry["value"]):
                    transaction.execute_command(*command)
                if "until" in entry:
                    transaction.pexpireat(key, entry["until"])
            transaction.execute()
    return {"keys": sum(map(len, lines.values()))}


def count() -> dict[str, int]:
    return {"keys": sum(len(_keys(client)) for _, client in _databases())}


def _client(number: int) -> redis.Redis:
    return redis.Redis.from_url(f"{url('REDIS_URL').rpartition('/')[0]}/{number}", socket_timeout=60)


def _databases() -> Iterator[tuple[int, redis.Redis]]:
    """The number of each database that holds keys, and a client for it."""
    for name in _client(0).info("keyspace") or {"db0": None}:
        number = int(name.removeprefix("db"))
        yield number, _client(number)


def _keys(client: redis.Redis) -> list[bytes]:
    return [key for key in client.scan_iter(count=BATCH) if not key.startswith(OF_WORKERS)]


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _read(client: redis.Redis, key: bytes, kind: str) -> Any:
    """The value of a key in terms of JSON; Problem for a type that only some servers know."""
    if kind == "string":
        return _text(client.get(key) or b"")
    if kind in ("list", "set"):
        return [_text(item) for item in (client.lrange(key, 0, -1) if kind == "list" else client.smembers(key))]
    if kind == "zset":
        return [[_text(item), repr(score)] for item, score in client.zrange(key, 0, -1, withscores=True)]
    if kind == "hash":
        return [[_text(field), _text(value)] for field, value in client.hgetall(key).items()]
    if kind == "stream":
        return _read_stream(client, key)
    raise Problem(f"the key {key.decode(errors='replace')} is of the type {kind}, which only some servers know")


def _read_stream(client: redis.Redis, key: bytes) -> dict[str, Any]:
    last = client.xinfo_stream(key)["last-generated-id"].decode()
    groups = [[_text(group["name"]), group["last-delivered-id"].decode()] for group in client.xinfo_groups(key)]
    entries = []
    for number, fields in client.xrange(key):
        entries.append([number.decode(), [_text(part) for pair in fields.items() for part in pair]])
    return {"entries": entries, "last": last, "groups": groups}


def _commands(key: bytes, kind: str, value: Any) -> Iterator[list[Any]]:
    """The commands that make a key, each a list of words."""
    if kind == "string":
        yield ["SET", key, b64decode(value)]
    elif kind == "stream":
        for number, fields in value["entries"]:
            yield ["XADD", key, number, *map(b64decode, fields)]
        if not value["entries"]:  # an empty stream: add an entry and take it away
            yield ["XADD", key, value["last"] if value["last"] != "0-0" else "0-1", "x", "x"]
            yield ["XTRIM", key, "MAXLEN", 0]
        yield ["XSETID", key, value["last"]]
        for name, delivered in value["groups"]:
            yield ["XGROUP", "CREATE", key, b64decode(name), delivered]
    else:
        for start in range(0, len(value), BATCH):
            yield _part(key, kind, value[start : start + BATCH])


def _part(key: bytes, kind: str, items: list[Any]) -> list[Any]:
    """The command that adds items to a list, set, sorted set or hash."""
    if kind == "zset":
        return ["ZADD", key, *(word for item, score in items for word in (score, b64decode(item)))]
    if kind == "hash":
        return ["HSET", key, *(b64decode(word) for pair in items for word in pair)]
    return ["RPUSH" if kind == "list" else "SADD", key, *map(b64decode, items)]
