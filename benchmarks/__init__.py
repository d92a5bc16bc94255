"""What `lingma` costs, measured from outside: CPU per chunk, per request, and cold start.

Knows the product only as an executable and a URL, so nothing here imports it.
"""
