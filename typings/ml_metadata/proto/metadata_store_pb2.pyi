"""Messages are made when the module is imported: to a type checker they are Any."""

from typing import Any

def __getattr__(name: str) -> Any: ...
