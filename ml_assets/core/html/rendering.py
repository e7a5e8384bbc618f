"""A page from its Jinja template."""

from pathlib import Path
from typing import Any


def rendered(template: Path, **values: Any) -> str:
    """The template with these values. Every text is escaped, and a name that has no value is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(template.parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template.name).render(**values)
