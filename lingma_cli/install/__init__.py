"""Getting the Lingma executable: found, downloaded, checked, kept side by side, taken back.

Owns what lies below the folder of versions. Must not know of settings, engines or logins.
"""
