"""How things of a document are called in Python. What is generated and what the drift report says have to agree."""

from functools import cache
from keyword import iskeyword

from openapi_python_client import strings

__all__ = ["FIELD_PREFIX", "attribute", "class_name", "module_of"]

FIELD_PREFIX = "field_"
"""What is put before a name that could not be an attribute else."""

# The generator keeps every builtin's name from attributes, which makes `type_`, `input_` and `format_` of the commonest
# fields. Only the names that our annotations use must be kept from them.
strings.RESERVED_WORDS = {"bool", "bytes", "datetime", "dict", "float", "int", "list", "object", "self", "str", "tuple"}


def class_name(schema: str) -> str:
    """Give the name of the class of a schema."""
    return str(strings.ClassName(schema, FIELD_PREFIX))


@cache
def attribute(name: str) -> str:
    """Give the name of the attribute or parameter of a field.

    >>> attribute("cfgScale"), attribute("$type"), attribute("list"), attribute("Model hash")
    ('cfg_scale', 'type', 'list_', 'model_hash')
    """
    return str(strings.PythonIdentifier(name, FIELD_PREFIX))


def module_of(name: str) -> str:
    """Give the name of the module that holds a class.

    >>> module_of("ImageGenInput"), module_of("Class")
    ('image_gen_input', 'class_')
    """
    module = strings.snake_case(name)
    return f"{module}_" if iskeyword(module) else module
