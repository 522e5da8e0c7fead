"""Runs in the image of this_postgres, by Debian's python3 with psycopg2; on the local stack in .local/venv."""
