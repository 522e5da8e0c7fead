"""Run at the start of every kernel (PYTHONSTARTUP): what is edited in lib/ is what the next cell runs."""

import sys

# A plain `python` at a terminal runs this too, and has no IPython.
if _shell := "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
    _shell.run_line_magic("load_ext", "autoreload")
    _shell.run_line_magic("autoreload", "2")
del sys, _shell
