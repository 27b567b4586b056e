"""distilabel's pipeline of two tasks over a server of chats: `chain.py URL SEEDS.jsonl`. Each row is rewritten, then
answered; a batch is as large as what its own default asks for at once."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

REWRITE = "Rewrite this.\n<task>\n{{ instruction }}\n</task>\nin this form:\n<instruction>\n</instruction>"


def main() -> None:
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    url, seeds = sys.argv[1], Path(sys.argv[2])
    rows = [{"instruction": json.loads(line)["instruction"]} for line in seeds.read_text().splitlines()]

    def model() -> OpenAILLM:
        return OpenAILLM(base_url=f"{url}/v1", model="slots", api_key="none", generation_kwargs={"max_new_tokens": 512})

    with Pipeline(name="chain") as pipeline:
        given = LoadDataFromDicts(data=rows, batch_size=50)
        rewrite = TextGeneration(name="rewrite", llm=model(), template=REWRITE, output_mappings={"generation": "task"})
        answer = TextGeneration(name="answer", llm=model(), template="{{ task }}", columns=["task"])
        given >> rewrite >> answer
    made = pipeline.run(use_cache=False)["default"]["train"]
    assert len(made) == len(rows), f"{len(made)} of {len(rows)} rows"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HF_HUB_OFFLINE": "1", "DISTILABEL_CACHE_DIR": folder}
        main()
