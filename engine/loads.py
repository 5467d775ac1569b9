"""Batches of keys: how the keys that one batch field gathered are loaded, and given back to where they came from."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine.plans import Load
from engine.waiting import Loading

if TYPE_CHECKING:
    from engine.execution import Execution

Bucket = list[tuple[Any, dict[str, Any], Any]]  # the key or keys, the object's dictionary, and its path
Fill = Callable[[Bucket, Sequence[Any], "Execution"], None]


class BatchLoad:
    """A batch field of one operation. `fill` completes its values and puts them into their places."""

    __slots__ = ("_fill", "_plan")

    def __init__(self, plan: Load, fill: Fill) -> None:
        self._plan = plan
        self._fill = fill

    def start(self, execution: "Execution", bucket: Bucket) -> None:
        """Loads the keys of a bucket. What is known already takes its place at once."""
        keys = [key for each in bucket for key in each[0]] if self._plan.many else [each[0] for each in bucket]
        try:
            values: Any = self._plan.loader(execution.context).batch(keys)
        except Exception as error:  # noqa: BLE001  it is the error of every key
            values = error
        if isinstance(values, list | Exception):
            self.arrive(execution, bucket, values)
        else:
            execution.waiting.add(Loading(self, values, bucket))

    def arrive(self, execution: "Execution", bucket: Bucket, values: Any) -> None:
        """Takes the values of a bucket's keys, or the error of all of them."""
        count = sum(len(each[0]) for each in bucket) if self._plan.many else len(bucket)
        if not isinstance(values, Exception) and len(values) != count:
            values = RuntimeError(f"A loader was given {count} keys and returned {len(values)} values.")
        if isinstance(values, Exception):
            values = [values] * len(bucket)
        elif self._plan.many:
            values = _grouped(bucket, values)
        self._fill(bucket, values, execution)


def _grouped(bucket: Bucket, values: Sequence[Any]) -> list[Any]:
    """The list of each place: its values but for None, or the first exception among them."""
    groups: list[Any] = []
    start = 0
    for each in bucket:
        group = values[start : start + len(each[0])]
        start += len(group)
        error = next((value for value in group if isinstance(value, Exception)), None)
        groups.append(error or [value for value in group if value is not None])
    return groups
