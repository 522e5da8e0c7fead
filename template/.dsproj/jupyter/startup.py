"""Run at the start of every kernel (PYTHONSTARTUP): what is edited in lib/ is what the next cell runs; `%%lib` and `%%sql`."""

import sys

# A plain `python` at a terminal runs this too, and has no IPython.
if _shell := "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
    _shell.run_line_magic("load_ext", "autoreload")
    _shell.run_line_magic("autoreload", "2")

    class _InShort:
        """For autoreload, in the place of the module traceback: it prints what an edited module failed with."""

        def format_exc(self, limit=None):
            from dsproj.kernel.stories import of_reload

            return of_reload()

    import logging

    from IPython.extensions import autoreload as _autoreload

    _autoreload.traceback = _InShort()
    logging.getLogger("autoreload").disabled = True  # where it prints the same once more, in full

    def _lib(line, cell, _shell=_shell):
        """Move the cell's functions to lib/NAME.py: %%lib NAME"""
        from dsproj.kernel.cell_to_lib import move

        move(_shell, line, cell)

    def _cd(line, _cd=_shell.find_line_magic("cd")):
        """Change the folder. The literature's notebooks begin with `cd /home/jovyan/work`: the project, wherever it is."""
        import os

        elsewhere = line.strip() == "/home/jovyan/work" and not os.path.exists(line.strip())
        return _cd(os.environ.get("PROJECT_ROOT", line) if elsewhere else line)

    def _sql(line, cell, _shell=_shell):
        """SQL on the project's PostgreSQL, its result shown, and kept where a NAME is given: %%sql [NAME]"""
        from dsproj.kernel.sql_magic import run

        return run(_shell, line, cell)

    def _of_memory(shell, kind, error, frames, tb_offset=None):
        """A MemoryError says the limit too, and the variable that sets it."""
        from dsproj.kernel.memory import cure

        error.add_note(cure())
        shell.showtraceback((kind, error, frames), tb_offset)

    _shell.set_custom_exc((MemoryError,), _of_memory)
    _shell.register_magic_function(_lib, "cell", "lib")
    _shell.register_magic_function(_sql, "cell", "sql")
    _shell.register_magic_function(_cd, "line", "cd")
    del _autoreload, _cd, _InShort, _lib, _of_memory, _sql, logging
del sys, _shell
