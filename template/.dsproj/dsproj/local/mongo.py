"""Make the document store's only user, or give it the password of .env, before the store is started with authentication on."""

from pymongo import MongoClient
from secantus.server import SecantusDBServer

from dsproj.database import password
from dsproj.host.places import MONGO
from dsproj.settings import Settings

READY = MONGO / "ready"


def main() -> None:
    word = Settings()["MONGO_PASSWORD"]
    # SecantusDB takes its user over a connection without a password. So it runs for that moment inside this
    # process, on a port that nobody has been told.
    server = SecantusDBServer(host="127.0.0.1", port=0, storage_path="data")
    server.start()
    try:
        with MongoClient(server.uri, directConnection=True) as client:
            known = client.admin.command("usersInfo", "root")["users"]
            client.admin.command("updateUser" if known else "createUser", "root", pwd=word, roles=["root"])
    finally:
        server.stop()
    password.note(READY, word)


if __name__ == "__main__":
    main()
