#!/bin/bash
# There is no conda in the stand-in; programs that look for its variables find them all the same.
export CONDA_PREFIX=$CONDA_DIR CONDA_DEFAULT_ENV=base CONDA_SHLVL=1
