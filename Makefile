# The everyday commands; `make` alone says which there are.

# Rooms whose tests read and write rows of logs and invocations, and test no schema.
ROWS = tests/manager tests/platform tests/connection tests/history tests/work tests/graphql tests/archive tests/cells \
	tests/entity tests/dto tests/specification tests/abuse tests/test_*.py
# Rooms whose tests ask what partitions are made of, or meet them on their way.
WHOLE = tests/cli tests/examples tests/faults tests/migrations tests/plugin tests/schema
# Files with tests that may fail beside others.
TIMED = $$(grep --recursive --files-with-matches --include '*.py' 'mark\.\(alone\|in_pairs\)' tests)

.PHONY: help install hooks test soak partitioned distributed refusing check format pages pictures bounds ci

help:  # what there is
	@sed -n 's/^\([a-z]*\):.*  # /make \1	/p' Makefile

install:  # the library with all it takes to work on it, in .venv
	python3 -m venv .venv && .venv/bin/pip install --editable '.[test]'

hooks:  # have git run "make check" before each commit
	.venv/bin/pip install pre-commit && .venv/bin/pre-commit install

test:  # all tests, as fast as two cores go
	.venv/bin/python -m pytest $(TIMED) -m alone
	.venv/bin/python -m pytest $(TIMED) -n 2 --dist loadfile -m 'in_pairs and not alone'
	.venv/bin/python -m pytest -n 3 --dist worksteal -m 'not alone and not in_pairs'

soak:  # the long versions of the tests that have one
	CLOUDPUB_SOAK=1 .venv/bin/python -m pytest -m soak

partitioned:  # the tests of all that meets tables on partitioned ones
	CLOUDPUB_PARTITIONED=1 .venv/bin/python -m pytest -n 2 -k postgresql -m 'not alone and not in_pairs' $(ROWS) $(WHOLE)

distributed:  # the tests of managers and the platform on tables as Citus allows them
	CLOUDPUB_DISTRIBUTED=1 .venv/bin/python -m pytest -n 2 -k postgresql tests/manager tests/platform

refusing:  # the tests of managers and the platform on a server that refuses what YugabyteDB may
	CLOUDPUB_REFUSING=1 .venv/bin/python -m pytest -n 2 -k postgresql tests/manager tests/platform

check:  # format, lint and types, changing nothing
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

format:  # format, and mend what the linter can
	.venv/bin/python -m ruff format .
	.venv/bin/python -m ruff check --fix .

pages:  # the site of the pages, in build/site
	.venv/bin/python -m sphinx -W --keep-going -c docs . build/site

pictures:  # the pictures of the terminal and of the schema, anew
	.venv/bin/python scripts/draw_terminal_pictures.py
	.venv/bin/cloudpub schema --output docs/schema.svg

bounds:  # whether the oldest versions that pyproject.toml allows are enough
	.venv/bin/python scripts/try_lower_bounds.py

ci:  # everything that has to pass
	.ci/run
