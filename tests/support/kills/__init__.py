"""A storm of requests over a server whose engines are killed all the time, and what it showed.

`storm.play` runs one, `verdict.judge` says what was wrong. `python -m tests.support.kills --help`
does both from the command line.
"""
