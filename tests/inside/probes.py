"""lib/probes.py of the project that ../test_inside.py makes: what its jobs call."""

import math
import os
import subprocess  # noqa: F401  (a job must not reach what is only imported here)
import time

from lib.jobs import progress


def add(first, last):
    return first + last


def root(number):
    return math.sqrt(number)


def unique(*numbers):
    return set(numbers)


def repeat(text, times):
    return text * times


def sleep(seconds):
    time.sleep(seconds)


def wants_more():
    raise MemoryError


def kill(signal):
    os.kill(os.getpid(), signal)


def digits(number, base=10):
    """A small item: fails for 7 and every 1,000th after it."""
    if number % 1000 == 7:
        raise LookupError(f"no digits of {number}")
    return number % base


def away_once(item, path):
    """A server that is away at the first try; notes every call."""
    with open(path, "a") as calls:
        print(item, file=calls)
    with open(path) as calls:
        if item == 3 and calls.read().split().count("3") == 1:
            raise ConnectionError("not there yet")
    return item


def dies(item):
    if item == 1:
        os.kill(os.getpid(), 9)
    return item


def counted(total, pause):
    for _ in progress(total):
        time.sleep(pause)
    return total


def fails_halfway(total):
    for number in progress(total):
        if number == total // 2:
            raise ValueError("half-way")


def variable(name):
    return os.environ.get(name)
