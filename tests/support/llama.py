"""A real llama.cpp server with a model of its own: random weights, one token a byte.

The model is written with `gguf` and served by `xllamacpp`, both from their wheels. Run as a program
it serves until its standard input ends and says its URL on the first line of its output.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODEL = "tiny"
_WIDTH, _DEEP, _HEADS = 64, 128, 4
_TEMPLATE = (
    "{% for turn in messages %}{{ turn['role'] }}: {{ turn['content'] }}\n{% endfor %}assistant:"
)


def write_model(path: Path) -> None:
    """Write a Llama of one layer with a byte-level vocabulary and a chat template."""
    gguf: Any = importlib.import_module("gguf")
    numpy: Any = importlib.import_module("numpy")
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kind = gguf.TokenType
    kinds = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL, *([kind.BYTE] * 256)]
    writer: Any = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(MODEL)
    writer.add_context_length(4096)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_DEEP)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([int(each) for each in kinds])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(_TEMPLATE)
    random = numpy.random.default_rng(0)
    for name, shape in _weights(len(tokens)).items():
        values = random.standard_normal(shape) * 0.02 if len(shape) > 1 else numpy.ones(shape)
        writer.add_tensor(f"{name}.weight", values.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weights(vocabulary: int) -> dict[str, tuple[int, ...]]:
    square, layer = (_WIDTH, _WIDTH), "blk.0"
    return {
        "token_embd": (vocabulary, _WIDTH),
        "output_norm": (_WIDTH,),
        "output": (vocabulary, _WIDTH),
        f"{layer}.attn_norm": (_WIDTH,),
        f"{layer}.ffn_norm": (_WIDTH,),
        **{f"{layer}.attn_{name}": square for name in ("q", "k", "v", "output")},
        f"{layer}.ffn_gate": (_DEEP, _WIDTH),
        f"{layer}.ffn_up": (_DEEP, _WIDTH),
        f"{layer}.ffn_down": (_WIDTH, _DEEP),
    }


@contextmanager
def llama_server(folder: Path, *, embeddings: bool = False) -> Iterator[str]:
    """Serve a model in `folder` and give the server's URL; skips where the wheels are missing.

    Args:
        folder: where the model is written, unless it is there.
        embeddings: serve embeddings instead of chat.
    """
    for name in ("gguf", "numpy", "xllamacpp"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs a real server: `pip install xllamacpp gguf` ({name} is missing)")
    model = folder / "tiny.gguf"
    if not model.exists():
        write_model(model)
    command = [sys.executable, "-m", "tests.support.llama", str(model), str(int(embeddings))]
    with (
        (folder / "llama.log").open("wb") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        # A server that does not come up ends, so that the line below ends too.
        limit = threading.Timer(30, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            url = next((line for line in process.stdout if line.startswith(b"http://")), b"")
            limit.cancel()
            assert url, (folder / "llama.log").read_text(errors="replace")
            yield url.decode().strip()
        finally:
            limit.cancel()
            process.kill()


def _serve(model: str, *, embeddings: bool) -> None:
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params: Any = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {MODEL}
    params.port = 0
    params.n_ctx = 4096
    params.n_parallel = 2
    params.warmup = False
    params.embedding = embeddings
    if embeddings:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1], embeddings=sys.argv[2] == "1")
