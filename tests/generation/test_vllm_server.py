"""Sampling through a server that answers as vLLM's completions API does, from a real small model behind it."""

import json
import math
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from polymlops.config.hashing import content_hash
from polymlops.config.profiles import load_config
from polymlops.config.sampling import SamplingConfig
from polymlops.config.slices import SampleSpec, adapter_spec
from polymlops.errors import ConfigError, InputError, StageError
from polymlops.generation.decoding import Decoding, end_tokens, prompt_key, sample_candidates
from polymlops.generation.sampling import Sampler, social_questions
from polymlops.generation.vllm_server import VLLMServer, candidate_of, candidate_seed
from polymlops.training.polychromic import sequence_log_probs

SPEC = SampleSpec(
    arm="zero_shot", seed=0, sampling=SamplingConfig(n=3, prompts=4, max_new_tokens=24, temperature=1.0, top_p=1.0)
)


class Serving(ThreadingHTTPServer):
    """`vllm serve FOLDER`, on loopback: what it was asked is in `seen`."""

    daemon_threads = True

    def __init__(self, model, root):
        super().__init__(("127.0.0.1", 0), Handler)
        self.model, self.cards, self.seen = model, [card("base", root)], []
        self.takes_adapters, self.lock = True, threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


def card(name, root, parent=None):
    return {"id": name, "object": "model", "root": str(root), "parent": parent, "max_model_len": 200}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, {"object": "list", "data": self.server.cards})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.seen.append((self.path, body))
            if self.path == "/v1/completions":
                return self.answer(200, {"object": "text_completion", "choices": [completed(self.server.model, body)]})
        if not self.server.takes_adapters:
            return self.answer(404, {"detail": "Not Found"})
        self.server.cards.append(card(body["lora_name"], body["lora_path"], parent="base"))
        return self.answer(200, f"Success: LoRA adapter '{body['lora_name']}' added successfully.")

    def answer(self, status, body):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def completed(model, body):
    """One candidate by the seed, each token's log-probability under the model, and why it ended."""
    decoding = Decoding(body["temperature"], body["top_p"], body["top_k"], body["max_tokens"])
    ((found,),) = sample_candidates(model, [body["prompt"]], [body["seed"]], 1, decoding)
    share = found.logprob / len(found.tokens)
    return {
        "index": 0,
        "text": "not read",
        "logprobs": {"token_logprobs": [share] * len(found.tokens)},
        "finish_reason": "stop" if found.finished else "length",
        "stop_reason": found.tokens[-1] if found.finished else None,
        "token_ids": list(found.tokens),
    }


@pytest.fixture(scope="module")
def model(small_base):
    from polymlops.models.loading import load_base

    return load_base(small_base)


@pytest.fixture
def server(model, small_base):
    with Serving(model, small_base) as serving:
        yield serving
        serving.shutdown()


def through(server, spec=SPEC):
    sampling = spec.sampling.model_copy(update={"engine": "vllm", "vllm_url": server.url})
    return spec.model_copy(update={"sampling": sampling})


def test_a_sample_set_is_whole_and_its_numbers_are_the_models(server, model, small_base, small_dataset):
    spec = through(server)
    questions = social_questions(spec, small_dataset)
    sampler = Sampler(spec, questions, small_base, None)
    frame = sampler.sample(questions.prompts)
    assert frame.height == 12
    assert frame["sample_id"].to_list() == [0, 1, 2] * 4
    assert set(frame["finish_reason"]) <= {"stop", "length"}
    assert frame["entropy"].is_nan().all()
    group = sampler.draw([questions.encode(sampler.tokenizer, questions.prompts[0])], [7], 3, decoding())[0]
    prompt = questions.encode(sampler.tokenizer, questions.prompts[0])
    expected = sequence_log_probs(model, [prompt] * 3, group, 1.0)
    assert [item.logprob for item in group] == pytest.approx(expected.tolist(), abs=1e-3)
    assert all(item.tokens[-1] in end_tokens(model) for item in group if item.finished)
    assert all(len(item.tokens) == 24 for item in group if not item.finished)


def decoding():
    sampling = SPEC.sampling
    return Decoding(sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_new_tokens)


def test_a_candidate_depends_on_its_prompt_and_number_only(server, small_base):
    vllm = VLLMServer(server.url, small_base, None)
    few = vllm.sample_candidates([[5, 6], [9]], [1, 2], 2, decoding())
    more = vllm.sample_candidates([[9]], [2], 4, decoding())
    assert more[0][:2] == [replace(item, entropy=more[0][i].entropy) for i, item in enumerate(few[1])]
    assert len({item.tokens for item in more[0]}) > 1
    seeds = {candidate_seed(prompt_key(0, str(prompt)), i) for prompt in range(50) for i in range(20)}
    assert len(seeds) == 1000
    assert max(seeds) < 2**63


def test_every_setting_is_named_so_that_no_default_of_the_model_counts(server, small_base, model):
    VLLMServer(server.url, small_base, None).sample_candidates([[5]], [1], 1, decoding())
    ((_, body),) = server.seen
    assert body["prompt"] == [5]
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0.0, 1.0)
    assert body["stop_token_ids"] == end_tokens(model)
    assert (body["logprobs"], body["return_token_ids"]) == (0, True)


def test_an_adapter_is_loaded_once_and_asked_by_its_name(server, small_base, small_dataset, make_job):
    from polymlops.config.code_slices import ZeroAdapterSpec
    from polymlops.training.zero_adapter import make_zero_adapter

    job = make_job("adapter")
    make_zero_adapter(
        ZeroAdapterSpec(seed=0, lora=adapter_spec(load_config("smoke"), "baseline", 0).lora), small_base, job
    )
    for _ in range(2):
        VLLMServer(server.url, small_base, job.output).sample_candidates([[5]], [1], 1, decoding())
    loads = [body for path, body in server.seen if path.endswith("load_lora_adapter")]
    assert [body["lora_path"] for body in loads] == [str(job.output)]
    assert {body["model"] for path, body in server.seen if path == "/v1/completions"} == {loads[0]["lora_name"]}
    server.cards, server.takes_adapters = server.cards[:1], False
    with pytest.raises(InputError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        VLLMServer(server.url, small_base, job.output)


def test_what_is_not_there_is_said_with_its_remedy(server, small_base, tmp_path):
    server.cards = [card("other", tmp_path)]
    with pytest.raises(InputError, match=f"not {small_base}: start `vllm serve {small_base}`"):
        VLLMServer(server.url, small_base, None)
    with pytest.raises(StageError, match="no vLLM answers"):
        VLLMServer("http://127.0.0.1:9", small_base, None)
    with pytest.raises(ConfigError, match="engine vllm needs vllm_url"):
        load_config("demo", ["sampling.engine=vllm"])


@pytest.mark.parametrize(
    "fault",
    [
        {"finish_reason": "abort"},
        {"finish_reason": None},
        {"token_ids": [5, 6]},
        {"token_ids": None},
        {"logprobs": None},
        {"logprobs": {"token_logprobs": [-1.0]}},
        {"logprobs": {"token_logprobs": [-1.0, None, -1.0]}},
    ],
)
def test_half_an_answer_is_no_candidate(fault):
    whole = {"token_ids": [5, 6, 2], "logprobs": {"token_logprobs": [-1.0, -2.0, -0.5]}, "finish_reason": "stop"}
    found = candidate_of(whole, [2])
    assert (found.tokens, found.logprob, found.finished) == ((5, 6, 2), -3.5, True)
    assert math.isnan(found.entropy)
    assert not candidate_of(whole | {"finish_reason": "length"}, [2]).finished
    with pytest.raises(StageError):
        candidate_of(whole | fault, [2])


def test_the_usual_engine_leaves_keys_as_they_were_and_another_one_has_its_own():
    plain = SamplingConfig(n=4)
    vllm = plain.model_copy(update={"engine": "vllm", "vllm_url": "http://127.0.0.1:8000"})
    before = {
        name: value for name, value in plain.model_dump(mode="json").items() if name not in ("engine", "vllm_url")
    }
    assert content_hash(plain) == content_hash(before)
    assert content_hash(vllm) != content_hash(plain)
    assert content_hash(vllm) == content_hash(vllm.model_copy(update={"vllm_url": "http://127.0.0.1:9000"}))
    assert SamplingConfig.model_validate(vllm.model_dump(mode="json")) == vllm
