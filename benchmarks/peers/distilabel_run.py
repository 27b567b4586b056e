"""distilabel: a pipeline of one TextGeneration, batches of WIDTH (a batch is what it has in flight), its cache in a
folder beside OUT, used where a fifth word asks for it: `distilabel_run.py URL ROWS OUT WIDTH [cache]`."""

import json
import os
import sys
from pathlib import Path

url, rows, out, width, *cached = sys.argv[1:]
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "DISTILABEL_LOG_LEVEL": "WARNING",
               "DISTILABEL_CACHE_DIR": f"{out}.cache", "HF_HOME": f"{out}.hf"}  # fmt: skip

from distilabel.models.llms import OpenAILLM  # noqa: E402
from distilabel.pipeline import Pipeline  # noqa: E402
from distilabel.steps.tasks import TextGeneration  # noqa: E402


def main() -> None:
    said = [*map(json.loads, Path(rows).read_text(encoding="utf-8").splitlines())]
    data = [{"instruction": "\n\n".join(filter(None, (r["instruction"], r.get("input"))))} for r in said]
    how = {"temperature": 0.7, "top_p": 0.95, "max_new_tokens": 2048}
    with Pipeline(cache_dir=f"{out}.cache") as pipeline:
        llm = OpenAILLM(model="delayed-7b", base_url=f"{url}/v1", api_key="none", timeout=600, generation_kwargs=how)
        TextGeneration(llm=llm, input_batch_size=int(width))
    found = pipeline.run(dataset=data, use_cache=bool(cached))["default"]["train"]
    answers = [row["generation"] for row in found]
    assert len(list(filter(None, answers))) == len(data), f"{len(answers)} answers to {len(data)} questions"
    Path(out).write_text("".join(json.dumps({"output": answer}) + "\n" for answer in answers), encoding="utf-8")


if __name__ == "__main__":
    main()
