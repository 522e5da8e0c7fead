# What the Makefile has besides, where jobs may run on several machines.
VARIABLES += ADDRESS REGISTRY

.PHONY: cluster deploy cluster-down
cluster deploy cluster-down: ; @$(dsproj) $@
