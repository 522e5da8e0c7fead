"""Project code that has outgrown its notebook; imported by notebooks and workers alike."""

import sys
from pathlib import Path

# The machine room, for a Python outside the stack: an editor, a script. Inside it is there already.
sys.path[:] = dict.fromkeys([*sys.path, str(Path(__file__).parents[1] / ".dsproj")])
