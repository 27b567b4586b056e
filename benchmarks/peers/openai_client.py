"""The openai client, WIDTH in flight, answers to a JSONL file: `openai_client.py URL ROWS OUT WIDTH`."""

import asyncio
import json
import sys
from pathlib import Path

from openai import AsyncOpenAI


async def main(url: str, rows: str, out: str, width: int) -> None:
    todo = enumerate(map(json.loads, Path(rows).read_text(encoding="utf-8").splitlines()))
    with open(out, "w", encoding="utf-8") as file:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=600) as client:

            async def worker() -> None:
                for number, row in todo:
                    prompt = "\n\n".join(filter(None, (row["instruction"], row.get("input"))))
                    reply = await client.chat.completions.create(
                        model="delayed-7b", messages=[{"role": "user", "content": prompt}], temperature=0.7,
                        top_p=0.95, max_tokens=2048, seed=number,
                    )  # fmt: skip
                    file.write(json.dumps({**row, "output": reply.choices[0].message.content}) + "\n")

            await asyncio.gather(*(worker() for _ in range(width)))


url, rows, out, width = sys.argv[1:]
asyncio.run(main(url, rows, out, int(width)))
