"""What the provider reports to the person who runs `pulumi`."""


class ProviderError(Exception):
    """An operation that failed, with a message for people: what, why, and how to mend it."""
