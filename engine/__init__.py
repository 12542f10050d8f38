"""Brings what the project needs to a machine that lacks it: Pulumi, its plugins, Docker, a base image, Python packages.

It runs on the machine's own Python with the standard library alone, because it works before the project's environment
exists. What it makes lies in a cache outside the checkout and is found again by its content.
"""
