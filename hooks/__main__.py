"""Entry point: make the folder a package, see that its libraries are there, then run the steps."""

import sys
from pathlib import Path

# The parent, so that a module here can bear any name: `import docker` must not find a file of ours.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hooks import libraries  # noqa: E402

if __name__ == "__main__":
    libraries.provide()
    from hooks import run

    run.main(sys.argv[1:])
