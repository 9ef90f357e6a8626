"""The library's side: from scratch, in NumPy."""

from benchmarks.applications import inputs


def attention(length=128, batch=16):
    from dlbook_lib.applications.translation_and_attention.tiled import (
        attention_keys_by_queries,
    )

    *given, dy = inputs.attention(length, batch)

    def step():
        y, pull = attention_keys_by_queries(*given)
        return y, *pull(dy)

    return step


def attention_readable(length=128, batch=16):
    from dlbook_lib.applications.translation_and_attention import scratch

    *given, dy = inputs.attention(length, batch)

    def step():
        y = scratch.scaled_dot_product_attention(*given)
        return y, *scratch.scaled_dot_product_attention_backward(dy, *given)[:3]

    return step
