"""One generated client: openapi-python-client with our templates, and the count of what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser.errors import GeneratorError, ParseError
from openapi_python_client.parser.openapi import Endpoint, GeneratorData
from openapi_python_client.parser.properties import LiteralEnumProperty, ModelProperty, Property

from scripts.generate.rendering import Renderer, is_map
from scripts.openapi.names import FIELD_PREFIX, attribute, class_name, module_of
from scripts.openapi.rewrite import ALIASES, Json, operations, rewrite, schemas

_TAKEN = {"Any", "ApiModel", "Choice", "ClassVar", "Literal", "Mapping", "NoReturn", "Reference", "Request", "Sequence"}
_TAKEN |= {"ToWire", "Unset"}
"""The names that the templates import."""

TEMPLATES = Path(__file__).parents[1] / "templates"


class GenerationError(Exception):
    """The document could not be generated from without loss; the message says what would be lost."""


class Client(Project):
    """The package of one document: `models/` and `api/`.

    Args:
        service: The name of the document, which becomes the package's.
        document: The document, overlay applied.
        out: The folder to write the package in.

    Raises:
        GenerationError: The generator cannot read the document.
    """

    def __init__(self, service: str, document: Json, out: Path) -> None:
        self.service = service
        rewritten = rewrite(document)
        for path, method, operation in operations(rewritten):
            if "operationId" not in operation:
                raise GenerationError(f"{service}: {method.upper()} {path} has no operationId")
        file = ConfigFile(
            literal_enums=True,
            content_type_overrides={"application/json-patch+json": "application/json"},
            field_prefix=FIELD_PREFIX,
            post_hooks=[],
        )
        config = Config.from_sources(file, MetaType.NONE, Path(), "utf-8", overwrite=True, output_path=out)
        data = GeneratorData.from_dict(rewritten, config=config)
        if isinstance(data, GeneratorError):
            raise GenerationError(f"{service}: {data.header}: {data.detail}")
        super().__init__(openapi=data, config=config, custom_template_path=TEMPLATES)
        self.clashes = list(_clashes(rewritten))
        self.operations = {attribute(item["operationId"]): item for _, _, item in operations(rewritten)}
        wanted = {class_name(name) for name in schemas(rewritten)}
        classes = {str(model.class_info.name): model for model in data.models if not is_map(model)}
        self.aliases = self._aliases(classes.pop(ALIASES, None))
        self.enums = {
            str(enum.class_info.name): enum
            for enum in data.enums
            if isinstance(enum, LiteralEnumProperty) and str(enum.class_info.name) in wanted
        }
        self.renderer = Renderer(classes, set(self.enums), set(self.aliases))
        self.lost_schemas = sorted((wanted - {ALIASES}).difference(self.renderer.names))
        self.env.filters.update(
            module_of=module_of, parameter_of=lambda prop, operation: self.renderer.parameter(operation, prop)
        )
        self.env.globals.update(service=service, r=self.renderer)

    def write(self) -> None:
        """Write the package.

        Raises:
            GenerationError: The generator warned, or an operation or schema would be missing.
        """
        if problems := list(self._problems()):
            shown = "".join(f"\n  {problem}" for problem in problems[:20])
            raise GenerationError(f"{self.service}: {len(problems)} things would be lost{shown}")
        self._write("__init__.py", "package_init.py.jinja")
        self._write("models/__init__.py", "models_init.py.jinja")
        for name, model in self.renderer.classes.items():
            self._write(f"models/{module_of(name)}.py", "model.py.jinja", model=model, name=name)
        for name, enum in self.enums.items():
            self._write(f"models/{module_of(name)}.py", "literal_enum.py.jinja", enum=enum, name=name)
        for name, prop in self.aliases.items():
            self._write(f"models/{module_of(name)}.py", "alias.py.jinja", prop=prop, name=name)
        self._write("api/__init__.py", "api_init.py.jinja")
        for tag, collection in self.openapi.endpoint_collections_by_tag.items():
            self._write(f"api/{tag}/__init__.py", "endpoint_init.py.jinja", tag=tag)
            for endpoint in collection.endpoints:
                operation = self.operations[endpoint.name]
                path = f"api/{tag}/{endpoint.name}.py"
                self._write(path, "endpoint_module.py.jinja", endpoint=endpoint, operation=operation)

    def _endpoints(self) -> Iterator[Endpoint]:
        for collection in self.openapi.endpoint_collections_by_tag.values():
            yield from collection.endpoints

    def _problems(self) -> Iterator[str]:
        errors: list[ParseError] = [*self.openapi.errors]
        for collection in self.openapi.endpoint_collections_by_tag.values():
            errors += collection.parse_errors
        errors += [error for endpoint in self._endpoints() for error in endpoint.errors]
        for error in errors:
            yield f"{error.header}: {error.detail}"
        for name in sorted(self.operations.keys() - {endpoint.name for endpoint in self._endpoints()}):
            yield f"operation {name} did not come out"
        yield from self.clashes
        for name in self.lost_schemas:
            yield f"schema {name} did not come out"
        for module, count in Counter(map(module_of, self.renderer.names)).items():
            if count > 1:
                yield f"{count} classes would share the module {module}"

    @staticmethod
    def _aliases(holder: ModelProperty | None) -> dict[str, Property]:
        if holder is None:
            return {}
        found = (*(holder.required_properties or ()), *(holder.optional_properties or ()))
        return {class_name(prop.name.get_untrusted_value()): prop for prop in found}

    def _write(self, path: str, template: str, **variables: Any) -> None:
        target = self.package_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = self.env.get_template(template).render(**variables)
        target.write_text(text, encoding="utf-8", newline="\n")


def _clashes(document: Json) -> Iterator[str]:
    """Say which operations and schemas would take each other's place, or that of a name which the templates use."""
    functions = Counter(attribute(item["operationId"]) for _, _, item in operations(document))
    yield from (f"{count} operations would be {name}" for name, count in functions.items() if count > 1)
    classes = Counter(map(class_name, schemas(document)))
    yield from (f"{count} schemas would be the class {name}" for name, count in classes.items() if count > 1)
    yield from (f"schema {name} has a name that the templates use" for name in sorted(_TAKEN & classes.keys()))
    for path, method, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "cookie":
                yield f"{method.upper()} {path} takes the cookie {parameter['name']}, which would not be sent"
