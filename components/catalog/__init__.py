"""Catalog entries: the files as people write them (`document`), the rules (`rules`), one inner model (`entry`),
loading (`load`).
"""
