"""Word n-grams of many texts as sorted numbers, hashed in one go."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

BLANK = ord(" ")
BASE = 0x9E3779B97F4A7C17
"""Of the polynomials that hash a word and an n-gram: odd, so that powers of it can be divided by, and BASE - 1 is twice
an odd number, so that the order of two words tells in 63 bits."""
MIX = 0xBF58476D1CE4E5B9
"""An odd factor between the two, so that n-grams are no polynomials of their letters."""
SPARE = 4
"""Lowest bits of a hash that are left out: a number of 60 bits takes a third less memory than one of 64."""


def sorted_grams(texts: Sequence[bytes], n: int) -> tuple[Any, list[int]]:
    """Of texts, given as by `gen.text.spaced_tokens`: the distinct n-grams of words, each text's sorted, one text's
    after the other's, and where each text's begin, with the end of all. A text of fewer than n words is one n-gram. Of
    the words w_i to w_i+n-1 it is the sum of hash(w_i+k) BASE^k modulo 2^64, without its lowest bits."""
    import numpy as np

    hash_W, first_N = _hashed_words(texts)
    length_N = first_N[1:] - first_N[:-1]
    count_N = np.maximum(length_N - (n - 1), np.minimum(length_N, 1))
    end_N = count_N.cumsum()
    from_G = np.arange(end_N[-1]) + (first_N[:-1] - end_N + count_N).repeat(count_N)
    hash_G = _polynomials(hash_W, from_G, from_G + np.minimum(length_N, n).repeat(count_N))
    hash_G >>= SPARE
    starts = [0, *end_N.tolist()]
    for start, end in pairwise(starts):
        hash_G[start:end].sort()
    new_G = np.ones(len(hash_G) + 1, bool)  # the last one stands for what begins after all of them
    np.not_equal(hash_G[1:], hash_G[:-1], out=new_G[1:-1])
    new_G[starts] = True
    if new_G.all():
        return hash_G, starts
    return hash_G[new_G[:-1]], (new_G.cumsum()[starts] - 1).tolist()


def _hashed_words(texts: Sequence[bytes]) -> tuple[Any, Any]:
    """Hashes of the words of texts, and where each text's begin, with the end of all. A word b_0 b_1 ... is the sum of
    b_k BASE^k."""
    import numpy as np

    byte_B = np.frombuffer(b" ".join([b"", *texts, b""]), np.uint8)
    inside_B = byte_B != BLANK
    edge_E = (inside_B[1:] != inside_B[:-1]).nonzero()[0] + 1
    start_W, end_W = edge_E[::2], edge_E[1::2]
    hash_W = _polynomials(byte_B, start_W, end_W)
    hash_W ^= hash_W >> 32
    hash_W *= MIX
    hash_W ^= hash_W >> 29
    return hash_W, start_W.searchsorted([*accumulate((len(text) + 1 for text in texts), initial=0)])


def _polynomials(value_T: Any, start_G: Any, end_G: Any) -> Any:
    """The sums of value_i BASE^(i - start) modulo 2^64 from each start to before its end, by running sums over all."""
    import numpy as np

    size = len(value_T)
    power_T, inverse_T = _powers(max(16, size.bit_length()))
    sum_T = np.zeros(size + 1, np.uint64)
    (value_T * power_T[:size]).cumsum(out=sum_T[1:])
    return (sum_T[end_G] - sum_T[start_G]) * inverse_T[start_G]


@lru_cache(maxsize=4)
def _powers(bits: int) -> tuple[Any, Any]:
    """The first 2^bits powers of BASE and of its inverse, modulo 2^64."""
    import numpy as np

    factors = [np.full(1 << bits, base, np.uint64) for base in (BASE, pow(BASE, -1, 1 << 64))]
    for factor_W in factors:
        factor_W[0] = 1
    return factors[0].cumprod(), factors[1].cumprod()
