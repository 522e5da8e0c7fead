"""Run at the start of every kernel (PYTHONSTARTUP): what is edited in lib/ is what the next cell runs; and `%%lib`."""

import sys

# A plain `python` at a terminal runs this too, and has no IPython.
if _shell := "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
    _shell.run_line_magic("load_ext", "autoreload")
    _shell.run_line_magic("autoreload", "2")

    def _lib(line, cell, _shell=_shell):
        """Move the cell's functions to lib/NAME.py: %%lib NAME"""
        from dsproj.kernel.cell_to_lib import move

        move(_shell, line, cell)

    _shell.register_magic_function(_lib, "cell", "lib")
    del _lib
del sys, _shell
