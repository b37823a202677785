"""Progress bars, where a caller asks for them."""
from __future__ import annotations

from typing import Any, Iterable


def tracked(items: Iterable[Any], progress: bool, what: str) -> Iterable[Any]:
    """The items, with a bar of tqdm when asked. RuntimeError where tqdm is not installed."""
    if not progress:
        return items
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise RuntimeError(f"{what}: progress needs the package tqdm: pip install tqdm") from None
    return tqdm(items, desc=what)  # type: ignore[no-any-return]
