"""An object store around another one, for subclasses that do something before, after or instead of each call."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from proxy.storage.object_store import ObjectStore

P = ParamSpec("P")
T = TypeVar("T")


def _through_call(
    method: Callable[Concatenate[ObjectStore, P], Awaitable[T]],
) -> Callable[Concatenate["WrappingStore", P], Coroutine[Any, Any, T]]:
    @wraps(method)
    async def pass_on(self: "WrappingStore", /, *args: P.args, **options: P.kwargs) -> T:
        return await self._call(partial(getattr(self.inner, method.__name__), *args, **options))

    return pass_on


class WrappingStore:
    """Passes every call on to `inner`, all except `close` through `_call`. Subclasses add the listings."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        return await call()

    head = _through_call(ObjectStore.head)
    get = _through_call(ObjectStore.get)
    download = _through_call(ObjectStore.download)
    temporary_url = _through_call(ObjectStore.temporary_url)
    put = _through_call(ObjectStore.put)
    copy = _through_call(ObjectStore.copy)
    set_metadata = _through_call(ObjectStore.set_metadata)
    delete = _through_call(ObjectStore.delete)
    delete_versions = _through_call(ObjectStore.delete_versions)
    is_versioned = _through_call(ObjectStore.is_versioned)

    async def close(self) -> None:
        await self.inner.close()
