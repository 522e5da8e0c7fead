"""The stack without Docker: python3 local/stack.py up | down | ps | logs | url | run COMMAND | …

The same as `ENGINE=local python3 .dsproj …`, which `make … ENGINE=local` calls. Needs Python 3.11 or newer, nothing else: the
first `up` brings the rest to .local/.
"""

import os
import sys

ROOM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".dsproj")
WORDS = ["exec" if word == "run" and not number else word for number, word in enumerate(sys.argv[1:])]

os.environ["ENGINE"] = "local"
os.execv(sys.executable, [sys.executable, ROOM] + WORDS)
