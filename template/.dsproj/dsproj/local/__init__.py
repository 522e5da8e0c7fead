"""Runs in .local/venv, Python 3.11 or newer: supervises the servers of the stack without Docker, and becomes them."""
