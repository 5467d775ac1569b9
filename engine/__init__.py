"""Compiled execution of GraphQL operations. See README.md in this folder."""

from engine.errors import Unsupported
from engine.kept import KeptObjects
from engine.operation import CompiledOperation, compile_operation
from engine.plans import Attribute, Call, Classes, Compute, Item, Load, Loader, Plan, Planner

__all__ = [
    "Attribute",
    "Call",
    "Classes",
    "CompiledOperation",
    "Compute",
    "Item",
    "KeptObjects",
    "Load",
    "Loader",
    "Plan",
    "Planner",
    "Unsupported",
    "compile_operation",
]
