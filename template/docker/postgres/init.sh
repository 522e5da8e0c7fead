#!/usr/bin/env bash
# The first start, on an empty volume. A seed that fails must not end the server half-made: it comes up, says it is
# unhealthy (the health check asks the ledger), and `make up` or `make seed` tries again once the cause is mended.
SEED_WAIT=no /seed/seed.sh || echo "seed: FAILED, see above. The server starts without the table; once mended: make up" >&2
