"""How fast the library is beside the raw driver and beside its peers: ``python -m benchmarks``.

`operations` says what is measured and what each result has to be, `libraries` how each library does it, `measuring` how
time is taken; `worker` runs one library in a process of its own, `runner` starts the workers, `report` and `chart`
write what came out. `docs/PERFORMANCE.md` shows it and says how to read it.
"""
