"""Redis and MongoDB as files, and back. Run by backup.py inside the stack, where redis and pymongo are.

    python local/stores.py dump|restore redis|mongo [FILE]     standard output or input where no FILE is given
    python local/stores.py count redis|mongo

Both files are of this project's own making, since no server's format is read by all of them (Redis 8 and Valkey 9 refuse
each other's DUMP, and mongodump exists with MongoDB alone): JSON lines, with bytes in base64 and documents in BSON. A
restore that fails changes nothing; one that does not replaces all keys of Redis, and the collections that were saved.
"""

import base64
import json
import os
import sys

# What running workers say of themselves; another machine's are of no use.
OF_WORKERS = (b"rq:worker", b"rq:scheduler-lock", b"rq:clean_registries", b"rq:heartbeat")
BATCH = 1000
SYSTEM_DATABASES = ("admin", "config", "local")
RESTORING = "restoring."


class StoreError(Exception):
    """A store cannot be saved or restored; the message says why."""


def text(data):
    return base64.b64encode(data).decode()


def raw(data):
    return base64.b64decode(data)


# --- Redis -------------------------------------------------------------------------------------------------------------


def redis_databases():
    """A client for each database of the server that holds keys."""
    import redis

    url = os.environ["REDIS_URL"].rpartition("/")[0]
    first = redis.Redis.from_url(f"{url}/0", socket_timeout=60)
    for name in first.info("keyspace") or {"db0": None}:
        number = int(name.removeprefix("db"))
        yield number, redis.Redis.from_url(f"{url}/{number}", socket_timeout=60)


def redis_keys(client):
    return [key for key in client.scan_iter(count=BATCH) if not key.startswith(OF_WORKERS)]


def redis_read(client, key, kind):
    """The value of a key in terms of JSON; StoreError for a type that only some servers know."""
    if kind == "string":
        return text(client.get(key))
    if kind == "list":
        return [text(item) for item in client.lrange(key, 0, -1)]
    if kind == "set":
        return [text(item) for item in client.smembers(key)]
    if kind == "zset":
        return [[text(item), repr(score)] for item, score in client.zrange(key, 0, -1, withscores=True)]
    if kind == "hash":
        return [[text(field), text(value)] for field, value in client.hgetall(key).items()]
    if kind == "stream":
        entries = client.xrange(key)
        last = client.xinfo_stream(key)["last-generated-id"].decode()
        groups = [[text(group["name"]), group["last-delivered-id"].decode()] for group in client.xinfo_groups(key)]
        read = [
            [number.decode(), [text(part) for pair in fields.items() for part in pair]] for number, fields in entries
        ]
        return {"entries": read, "last": last, "groups": groups}
    raise StoreError(f"the key {key.decode(errors='replace')} is of the type {kind}, which only some servers know")


def redis_commands(key, kind, value):
    """The commands that make a key, each a list of words."""
    if kind == "string":
        yield ["SET", key, raw(value)]
    elif kind == "stream":
        for number, fields in value["entries"]:
            yield ["XADD", key, number, *map(raw, fields)]
        if not value["entries"]:  # an empty stream: add an entry and take it away
            yield ["XADD", key, value["last"] if value["last"] != "0-0" else "0-1", "x", "x"]
            yield ["XTRIM", key, "MAXLEN", 0]
        yield ["XSETID", key, value["last"]]
        for name, delivered in value["groups"]:
            yield ["XGROUP", "CREATE", key, raw(name), delivered]
    else:
        for start in range(0, len(value), BATCH):
            part = value[start : start + BATCH]
            if kind == "list":
                yield ["RPUSH", key, *map(raw, part)]
            elif kind == "set":
                yield ["SADD", key, *map(raw, part)]
            elif kind == "zset":
                yield ["ZADD", key, *(word for item, score in part for word in (score, raw(item)))]
            else:
                yield ["HSET", key, *(raw(word) for pair in part for word in pair)]


def redis_dump(file):
    count = 0
    for number, client in redis_databases():
        for key in redis_keys(client):
            kind = client.type(key).decode()
            if kind == "none":  # it has expired meanwhile
                continue
            entry = {"db": number, "key": text(key), "type": kind, "value": redis_read(client, key, kind)}
            until = client.pexpiretime(key)
            file.write(json.dumps(entry | ({"until": until} if until > 0 else {})).encode() + b"\n")
            count += 1
    return {"keys": count}


def redis_restore(file):
    """One transaction for each database: the keys that are there go, the saved ones come."""
    clients, lines = dict(redis_databases()), {}
    for line in file:
        entry = json.loads(line)
        lines.setdefault(entry["db"], []).append(entry)
    first = next(iter(clients.values()))
    for number in clients.keys() | lines.keys():
        client = clients.get(number)
        if client is None:
            client = type(first)(**{**first.connection_pool.connection_kwargs, "db": number})
        with client.pipeline(transaction=True) as transaction:
            for key in redis_keys(client):
                transaction.delete(key)
            for entry in lines.get(number, ()):
                key = raw(entry["key"])
                for command in redis_commands(key, entry["type"], entry["value"]):
                    transaction.execute_command(*command)
                if "until" in entry:
                    transaction.pexpireat(key, entry["until"])
            transaction.execute()
    return {"keys": sum(map(len, lines.values()))}


def redis_count():
    return {"keys": sum(len(redis_keys(client)) for _, client in redis_databases())}


# --- MongoDB -----------------------------------------------------------------------------------------------------------


def mongo_client():
    import pymongo

    return pymongo.MongoClient(os.environ["MONGO_URL"], serverSelectionTimeoutMS=10000)


def mongo_collections(client):
    """(database name, collection name, its options) of everything that is a user's, views apart."""
    for database in sorted(set(client.list_database_names()) - set(SYSTEM_DATABASES)):
        for found in client[database].list_collections():
            if found.get("type", "collection") == "collection" and not found["name"].startswith(("system.", RESTORING)):
                yield database, found["name"], found.get("options", {})


def mongo_dump(file):
    import bson

    client, count = mongo_client(), 0
    for database, name, options in mongo_collections(client):
        collection = client[database][name]
        indexes = [dict(index) for index in collection.list_indexes() if index["name"] != "_id_"]
        head = {"database": database, "collection": name, "options": options, "indexes": indexes}
        file.write(json.dumps({"head": text(bson.encode(head))}).encode() + b"\n")
        for document in collection.find():
            file.write(json.dumps({"doc": text(bson.encode(document))}).encode() + b"\n")
            count += 1
    return {"documents": count}


def mongo_restore(file):
    """Fill collections beside the present ones, then let each take its place; what the file lacks stays."""
    import bson

    client, count, filled = mongo_client(), 0, []
    target, waiting = None, []

    def flush():
        if waiting:
            target.insert_many(waiting)
            waiting.clear()

    try:
        for line in file:
            entry = json.loads(line)
            if "head" in entry:
                flush()
                head = bson.decode(raw(entry["head"]))
                database, name = client[head["database"]], head["collection"]
                database.drop_collection(RESTORING + name)
                options = {key: value for key, value in head["options"].items() if key != "uuid"}
                target = database.create_collection(RESTORING + name, **options)
                filled.append((target, name))
                for index in head["indexes"]:
                    extra = {k: v for k, v in index.items() if k not in ("key", "v", "ns")}
                    target.create_index(list(index["key"].items()), **extra)
            else:
                waiting.append(bson.decode(raw(entry["doc"])))
                count += 1
                if len(waiting) == BATCH:
                    flush()
        flush()
    except Exception:
        for collection, _ in filled:
            collection.drop()
        raise
    for collection, name in filled:
        collection.rename(name, dropTarget=True)
    return {"documents": count}


def mongo_count():
    client = mongo_client()
    return {"documents": sum(client[db][name].count_documents({}) for db, name, _ in mongo_collections(client))}


def main(action, store, path="-"):
    if action == "count":
        counted = redis_count() if store == "redis" else mongo_count()
    elif action == "dump":
        with open(path, "wb") if path != "-" else sys.stdout.buffer as file:
            counted = redis_dump(file) if store == "redis" else mongo_dump(file)
    else:
        with open(path, "rb") if path != "-" else sys.stdin.buffer as file:
            counted = redis_restore(file) if store == "redis" else mongo_restore(file)
    print(json.dumps(counted), file=sys.stderr if action == "dump" else sys.stdout)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # the drivers' own errors, and whatever a server has to say
        sys.exit(f"{type(error).__name__}: {error}")
