"""The demo Lingma: a simulator that speaks the Lingma local protocol as a process of its own.

It shares no code with the rest of the package on purpose: two ends that share code share their
misreadings. Run it with `python -m lingma_cli.demo start --workDir DIR`.
"""
