"""Restore a dump, on standard input, on a server elsewhere: `python3 -m dsproj.database.restoring <options of pg_restore>`.

There we are no superuser, and the server may be older than pg_restore. So its SQL goes to psql, in one transaction, without
the few commands that only a superuser may give or a newer server knows.
"""

import shutil
import subprocess
import sys

LEFT_OUT = (b"CREATE CAST ", b"DROP CAST ", b"COMMENT ON EXTENSION ", b"SET transaction_timeout ", b"SET lock_timeout ")
PSQL = "psql --no-psqlrc --quiet --single-transaction --set=ON_ERROR_STOP=1 --output=/dev/null --file=-"


def main(options: list[str]) -> int:
    whole = subprocess.Popen(["pg_restore", "--file=-", *options], stdout=subprocess.PIPE)
    words = [sys.executable, "-m", "dsproj.database.tls", *PSQL.split()]
    psql = subprocess.Popen(words, stdin=subprocess.PIPE)
    assert whole.stdout and psql.stdin
    try:
        for line in whole.stdout:
            if not line.startswith(LEFT_OUT):
                psql.stdin.write(line)
            if line.startswith(b"COPY "):  # from here on it may be somebody's data
                break
        shutil.copyfileobj(whole.stdout, psql.stdin)
        if whole.wait():
            psql.kill()  # at the end of its input it would commit
        psql.stdin.close()
    except BrokenPipeError:
        whole.kill()
    return psql.wait() or whole.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
