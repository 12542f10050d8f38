"""The documents that reach the control side and leave it: the gateway document and the edge document."""
