"""Make the document store's only user, once, before it is started with authentication on."""

from pathlib import Path

from pymongo import MongoClient
from secantus.server import SecantusDBServer

from dsproj.settings import Settings


def main() -> None:
    # SecantusDB takes its first user over a connection without a password. So it runs for that moment inside this
    # process, on a port that nobody has been told.
    server = SecantusDBServer(host="127.0.0.1", port=0, storage_path="data")
    server.start()
    try:
        with MongoClient(server.uri, directConnection=True) as client:
            if not client.admin.command("usersInfo", "root")["users"]:
                client.admin.command("createUser", "root", pwd=Settings()["MONGO_PASSWORD"], roles=["root"])
    finally:
        server.stop()
    Path("ready").touch()


if __name__ == "__main__":
    main()
