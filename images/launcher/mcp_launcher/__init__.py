"""The launcher: joins a stack's edge to its networks, sets process limits, and starts users' instances from templates.

It is the only part that may touch the Docker socket. It has no network; the control side asks over a Unix socket.
"""
