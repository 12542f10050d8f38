"""The launcher: joins a stack's edge to its servers' networks and sets process limits, and can do nothing else.

It is the only part that may touch the Docker socket. It has no network and no interface of its own.
"""
