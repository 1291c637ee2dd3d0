"""Benchmarks: how long durable work takes, in this process and over HTTP.

`python -m benchmarks` runs them, prints a table and writes JSON; `--help` names the options.

- `workloads/` says what is done and timed, one file each. A workload knows nothing of how the system is started.
- `systems/` starts what is measured: embedded, or a server and workers in processes of their own.
- `_runner` runs the workloads round by round, `_figures` makes figures of the times, `_report` shows them.
"""
