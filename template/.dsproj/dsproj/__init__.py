"""What makes the project run. Sub-packages are named for the interpreter that they run in.

host      the bare python3 of this machine: standard library alone
local     the Python environment of the local stack, .local/venv
kernel    where kernels and workers run: the Jupyter image, or .local/venv
database  the image of this_postgres; on the local stack also .local/venv

The modules beside this file are for all of them: standard library, Python 3.9.
"""
