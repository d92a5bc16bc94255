"""The composition root: settings in, a running program out. The only room that knows everybody.

Settings end here: what is built below receives plain values.
"""
