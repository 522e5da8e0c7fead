"""Runs in the bare python3 of this machine: standard library, Python 3.9. What `python3 .dsproj <command>` does."""
