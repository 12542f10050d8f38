"""A stand-in for pulumi-docker 5.2.0, for machines that cannot reach Pulumi's plugin site.

It speaks the engine's ResourceProvider protocol under the package name `docker`, with the real plugin's type tokens and
property names, for the types that this project uses. What it lacks is told in the README beside this package.
"""

VERSION = "5.2.0"
"""The version of pulumi-docker that is stood in for."""

NOTICE = f"docker provider: stand-in for pulumi-docker {VERSION} (the real plugin could not be had)"
