"""Runs where kernels and workers run: the Jupyter image, or .local/venv. Imports database, third parties, never lib."""
