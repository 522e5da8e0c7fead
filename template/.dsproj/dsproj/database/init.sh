#!/usr/bin/env bash
# The last step of the first start, on an empty volume. From here on the volume counts as initialised (see entrypoint.sh).
#
# A seed that fails must not end the server half-made: it comes up, says it is unhealthy (the health check asks the
# ledger), and `make up` or `make seed` tries again once the cause is mended.
set -euo pipefail
rm -f "$PGDATA.initialising"
sync "$(dirname "$PGDATA")"
SEED_WAIT=no python3 -m dsproj.database.seed once ||
  echo "seed: FAILED, see above. The server starts without the table; once mended: make up" >&2
