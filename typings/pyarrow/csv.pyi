# Arrow is made of C++ and makes much of itself at import: to a type checker all of it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
