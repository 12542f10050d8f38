"""Starts the provider: `python -m docker_provider ENGINE_ADDRESS`."""

from docker_provider.server import main

main()
