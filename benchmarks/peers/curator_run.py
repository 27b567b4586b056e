"""Bespoke Curator: one LLM over all rows, at most WIDTH in flight, without rate limits, telemetry and display, its
cache in a folder beside OUT: `curator_run.py URL ROWS OUT WIDTH`."""

import importlib.util
import json
import os
import sys
from pathlib import Path

url, rows, out, width, *_ = sys.argv[1:]  # its cache is always on
package = importlib.util.find_spec("litellm").submodule_search_locations[
    0
]  # it brings the token table that is fetched else
os.environ |= {"TELEMETRY_ENABLED": "false", "CURATOR_DISABLE_RICH_DISPLAY": "1", "CURATOR_CACHE_DIR": f"{out}.cache",
               "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", "HF_HOME": f"{out}.hf", "HOME": f"{out}.home",
               "LITELLM_LOCAL_MODEL_COST_MAP": "True",
               "TIKTOKEN_CACHE_DIR": f"{package}/litellm_core_utils/tokenizers"}  # fmt: skip
Path(f"{out}.home").mkdir(exist_ok=True)

from bespokelabs import curator  # noqa: E402
from datasets import Dataset  # noqa: E402


class Answerer(curator.LLM):
    def prompt(self, row: dict) -> str:
        return row["task"]

    def parse(self, row: dict, response: str) -> dict:
        return {"output": response}


def main() -> None:
    said = [*map(json.loads, Path(rows).read_text(encoding="utf-8").splitlines())]
    data = Dataset.from_list([{"task": "\n\n".join(filter(None, (r["instruction"], r.get("input"))))} for r in said])
    llm = Answerer(
        model_name="delayed-7b", backend="openai",
        generation_params={"temperature": 0.7, "top_p": 0.95, "max_tokens": 2048},
        backend_params={"base_url": f"{url}/v1", "max_concurrent_requests": int(width),
                        "max_requests_per_minute": 10_000_000, "max_tokens_per_minute": 10_000_000_000},
    )  # fmt: skip
    found = llm(data, working_dir=f"{out}.cache")
    answers = [row["output"] for row in found.dataset]
    assert len(list(filter(None, answers))) == len(said), f"{len(answers)} answers to {len(said)} questions"
    Path(out).write_text("".join(json.dumps({"output": answer}) + "\n" for answer in answers), encoding="utf-8")


if __name__ == "__main__":
    main()
