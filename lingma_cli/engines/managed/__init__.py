"""Servers that we start ourselves: from a template, under a guardian, watched and stopped."""
