"""The floor: aiohttp alone, 256 in flight, answers to a JSONL file. `raw_aiohttp.py URL ROWS OUT WIDTH [TURNS]`."""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp


async def main(url: str, rows: str, out: str, width: int, turns: int) -> None:
    todo = enumerate(map(json.loads, Path(rows).read_text(encoding="utf-8").splitlines()))
    connector = aiohttp.TCPConnector(limit=width)
    with open(out, "w", encoding="utf-8") as file:
        async with aiohttp.ClientSession(connector=connector) as session:

            async def worker() -> None:
                for number, row in todo:
                    prompt = "\n\n".join(filter(None, (row["instruction"], row.get("input"))))
                    for turn in range(turns):
                        body = {
                            "model": "delayed-7b",
                            "messages": [{"role": "user", "content": prompt}],
                            "temperature": 0.7,
                            "top_p": 0.95,
                            "max_tokens": 2048,
                            "seed": number * turns + turn,
                        }
                        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                            answer = (await response.json())["choices"][0]["message"]["content"]
                    file.write(json.dumps({**row, "output": answer}) + "\n")

            await asyncio.gather(*(worker() for _ in range(width)))


url, rows, out, width, *turns = sys.argv[1:]
asyncio.run(main(url, rows, out, int(width), int(turns[0]) if turns else 1))
