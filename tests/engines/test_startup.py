"""What vLLM's log tells; the lines are those of vLLM 0.32.0, most of them seen on the CPU build."""

import pytest

from gen.engines.startup import failure, phase
from gen.errors import EngineError, RecipeError

LINES = [
    ("(APIServer pid=27948) INFO 11-22 12:51:55 [model.py:733] Resolved architecture: LlamaForCausalLM", "reading the model's configuration"),
    ("(APIServer pid=27948) WARNING 11-22 12:51:55 [vllm.py:1727] Inductor compilation was disabled by user settings", "reading the model's configuration"),
    ("(EngineCore pid=28098) INFO 11-22 12:52:08 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='x'", "starting its engine"),
    ("(Worker pid=28224) INFO 11-22 12:52:19 [cpu_model_runner.py:68] Starting to load model gen/micro/weights...", "loading the weights"),
    ("Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:00<00:00, 10.19it/s]", "loading the weights (50%)"),
    ("(Worker pid=28224) INFO 11-22 12:52:19 [default_loader.py:501] Loading weights took 0.10 seconds", "loading the weights (50%)"),
    ("(Worker pid=1) INFO 11-22 12:52:19 [backends.py:1167] Dynamo bytecode transform time: 3.10 s", "compiling"),
    ("(Worker pid=1) INFO 11-22 12:52:19 [gpu_worker.py:760] Available KV cache memory: 60.1 GiB", "measuring the memory"),
    ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  45%|████▍     | 30/67 [00:02<00:02, 15.0it/s]", "capturing graphs (45%)"),
    ("(EngineCore pid=28098) INFO 11-22 12:52:25 [core.py:402] init engine (profile, create kv cache, warmup model) took 4.46 s", "opening its port"),
    ("(Worker pid=28224) INFO [cpu_model_runner.py:68] Starting to load model drafter...", "opening its port"),
]


def test_the_phases_of_a_start_follow_the_log_and_never_go_back():
    now = "starting Python"
    for line, expected in LINES:
        now = phase(line, now)
        assert now == expected, line


def test_many_lines_at_once_and_none_are_one_step():
    assert phase("\n".join(line for line, _ in LINES)) == "opening its port"
    assert phase("Loading safetensors checkpoint shards:  50% Completed\rLoading safetensors checkpoint shards: 75% Completed") == "loading the weights (75%)"
    assert phase("", "compiling") == "compiling"


@pytest.mark.parametrize(("line", "kind", "said"), [
    ("pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, User-specified "
     "max_model_len (999999) is greater than the derived max_model_len", EngineError, "max_model_len (999999)"),
    ("huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder",
     RecipeError, "a name of the Hugging Face hub"),
    ("ValueError: To serve at least one request with the models's max seq len (40960), (4.38 GiB KV cache is needed, "
     "which is larger than the available KV cache memory (1.0 GiB).", EngineError, "--max-model-len 8192"),
    ("OSError: You are trying to access a gated repo.", RecipeError, "HF_TOKEN"),
    ("ValueError: Total number of attention heads (14) must be divisible by tensor parallel size (4).", RecipeError,
     "another --tensor-parallel"),
    ("ValueError: Please pass the argument `trust_remote_code=True` to allow custom code to be run.", RecipeError,
     "--trust-remote-code"),
])  # fmt: skip
def test_the_root_cause_is_told_with_what_to_do(line, kind, said):
    log = f"(EngineCore pid=1) ERROR 11-22 12:52:08 [core.py:1] {line}\nRuntimeError: Engine core initialization failed. See root cause above."
    found = failure(log, 1, "vLLM", "x.log")
    assert type(found) is kind
    assert said in str(found)
    assert "Engine core initialization failed" not in str(found)


def test_a_kill_and_a_silent_end_are_told_apart():
    assert "for lack of host memory" in str(failure("INFO loading", 137, "vLLM", "x.log"))
    assert "(exit 3): line 1 / line 2; read its log (log: x.log)" in str(failure("line 1\n\nline 2\n", 3, "vLLM", "x.log"))
    assert "it said nothing" in str(failure("", 1, "vLLM", "x.log"))
