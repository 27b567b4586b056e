"""Near-duplicates as the guides of datasketch and rensa find them: `near.py datasketch|rensa FILE N`, of each line of
FILE the n-grams of its words, 128 permutations, similarity 0.7. Says CPU seconds and the lines dropped."""

import json
import sys
import time
from pathlib import Path


def grams(words: list[str], n: int) -> list[str]:
    return [" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))] if words else []


def datasketch(rows: list[list[str]], n: int) -> list[int]:
    from datasketch import MinHash, MinHashLSH

    index, dropped = MinHashLSH(threshold=0.7, num_perm=128), []
    for number, words in enumerate(rows):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([gram.encode("utf8") for gram in grams(words, n)])
        if words and index.query(sketch):
            dropped.append(number)
        elif words:
            index.insert(str(number), sketch)
    return dropped


def rensa(rows: list[list[str]], n: int) -> list[int]:
    from rensa import RMinHashDeduplicator

    index = RMinHashDeduplicator(threshold=0.7, num_perm=128, use_lsh=True)
    kept = index.add_pairs((str(number), grams(words, n)) for number, words in enumerate(rows))
    return [number for number, keep in enumerate(kept) if not keep and rows[number]]


def main(side: str, file: str, n: str) -> None:
    rows = [json.loads(line)["words"] for line in Path(file).read_text(encoding="utf-8").splitlines()]
    began = time.process_time()
    dropped = {"datasketch": datasketch, "rensa": rensa}[side](rows, int(n))
    print(json.dumps({"cpu": time.process_time() - began, "dropped": dropped}))


if __name__ == "__main__":
    main(*sys.argv[1:])
