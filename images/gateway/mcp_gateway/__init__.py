"""The gateway: an edge that carries every call, a control side that decides who may make one, and their delivery."""
