"""The Pulumi program: config -> catalog -> plan -> rendering -> resources -> outputs."""

from pathlib import Path

from components import inputs
from components.deploy.secret_values import SecretValues
from components.deploy.stack import deploy, export, told_at_once, warn
from components.plan.build import plan_of
from components.render.docker.rendering import render

ROOT = Path(__file__).parent

with told_at_once():
    given = inputs.read(ROOT)
    hosting = plan_of(given.config, given.stack, passwords=given.config.passwords)
    rendering = render(hosting, inputs.read_sources(ROOT, hosting))

values = SecretValues(stack=given.stack, secrets=given.secrets, passwords=given.passwords)
warn(hosting)
deploy(rendering, values, ROOT)
export(hosting, values)
