#!/usr/bin/env bash
# R with its kernel, in the two images that have it. Debian 12 has no RPostgres; RPostgreSQL is DBI's older driver.
set -euo pipefail
apt-get update -qq
apt-get install -y -qq --no-install-recommends r-base-core r-cran-irkernel r-cran-dbi r-cran-rpostgresql >/dev/null
rm -rf /var/lib/apt/lists/*
install -m 0755 /tmp/mamba /opt/conda/bin/mamba
rm /tmp/mamba
