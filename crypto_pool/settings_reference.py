"""What each setting means, and the topic it belongs to, read from the settings themselves."""

import ast
import inspect
from functools import cache
from itertools import pairwise

from pydantic import BaseModel

from crypto_pool import setting_groups
from crypto_pool.setting_groups import HIDDEN, Groups


@cache
def descriptions() -> dict[str, str]:
    """Return what each setting means, by its name, as the string below its field says."""
    groups = ast.parse(inspect.getsource(setting_groups)).body
    pairs = [pair for one in groups if isinstance(one, ast.ClassDef) for pair in pairwise(one.body)]
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in pairs
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def grouped_settings() -> dict[str, list[str]]:
    """Return the names of all settings but the hidden by group, in the order of definition."""
    shown = {
        str(group.__doc__).rstrip("."): [
            name for name, f in group.model_fields.items() if f.json_schema_extra is not HIDDEN
        ]
        for group in Groups.__bases__
        if issubclass(group, BaseModel)
    }
    return {title: names for title, names in shown.items() if names}
