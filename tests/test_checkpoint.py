"""Anybody's encoder, and the released ones: read safely, named without paths, trained in their own tokens.

The hub is a cache tree as huggingface_hub leaves it, offline; the models are random and tiny.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2Config,
    MobileBertConfig,
    MobileBertForMaskedLM,
    PreTrainedTokenizerFast,
)

from suite import models, protocol
from suite.canonical import digest, digest_file
from suite.data.encode import Encoded
from suite.errors import UserError
from suite.loading import load_recipe, resolve
from suite.measure.cost import count
from suite.methods.distilbert import Parameters as DistilBertParameters
from suite.models import encoder, hub, pretrained
from suite.pipeline.cell import Cell, Tokenizer, encoding
from suite.pipeline.execute import execute
from suite.pipeline.matrix import cell_of, draw_of, model_stages, tokenizer_of, variants
from suite.pipeline.released import Released, released_stage
from suite.pipeline.run import run
from suite.pipeline.stage import closure
from suite.pipeline.store import Store
from suite.protocol import Track
from suite.training.feeds import logits_of, make_batch

COMMIT = "0123456789abcdef0123456789abcdef01234567"

SMALL = {
    "vocab_size": 120, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 64, "initializer_range": 0.2,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 8},
    "electra": {"embedding_size": 8},
    "squeezebert": {"embedding_size": 16, "q_groups": 2},
    "mobilebert": {"embedding_size": 8, "intra_bottleneck_size": 8, "num_feedforward_networks": 2},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
}


def tiny_config(kind: str) -> Any:
    own = OWN.get(kind, {})
    both = {"vocab_size": 120, "max_position_embeddings": 64} if kind == "distilbert" else SMALL
    return AutoConfig.for_model(kind, **{**both, **own})


def cache_tree(root: Path, name: str, source: Path, commit: str = COMMIT) -> None:
    """``source`` as the hub's client leaves a model: blobs by hash, a snapshot of links, a ref without a newline."""
    home = root / f"models--{name.replace('/', '--')}"
    (home / "blobs").mkdir(parents=True, exist_ok=True)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / "main").write_text(commit)
    snapshot = home / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in sorted(source.iterdir()):
        blob = home / "blobs" / digest_file(file).removeprefix("sha256:")
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, offline."""
    from huggingface_hub import constants

    root = tmp_path / "hub"
    root.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.snapshot.cache_clear()
    return root


# --- the architecture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", encoder.TYPES)
def test_every_kind_answers_as_transformers_own_class_does(kind: str, tmp_path: Path) -> None:
    """Weights by name, sizes, padding that changes nothing, and the same logits with a plain 0/1 mask."""
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(tiny_config(kind)).save_pretrained(tmp_path)
    config = encoder.configuration(tmp_path, 3)
    weights = encoder.encoder_weights(tmp_path, config)
    ours = models.build(config)
    missing, unexpected = ours.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.startswith(ours.heads) for name in missing)  # type: ignore[arg-type]

    details = AutoConfig.from_pretrained(tmp_path, num_labels=3)
    theirs = AutoModelForSequenceClassification.from_config(details).eval()
    theirs.load_state_dict({name.removeprefix("model."): part for name, part in ours.state_dict().items()})
    ids = torch.randint(5, 100, (3, 9))
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)
    types[:, 5:] = 1
    mask[1, 6:], ids[1, 6:], types[1, 6:] = 0, 0, 0
    told = {"token_type_ids": types} if ours.segments else {}
    with torch.no_grad():
        padded = ours(ids, mask, types)
        padding = ids.masked_fill(mask == 0, details.pad_token_id or 0)
        wanted = theirs(input_ids=padding, attention_mask=mask, **told).logits
        alone = ours(ids[1:2, :6], mask[1:2, :6], types[1:2, :6])
    assert torch.allclose(padded, wanted, atol=1e-6)
    assert torch.allclose(padded[1:2], alone, atol=1e-6)
    assert count(config).parameters.total == sum(p.numel() for p in theirs.parameters())
    saved = load_file(tmp_path / "model.safetensors")
    word = next(name for name in saved if name.endswith("word_embeddings.weight"))
    assert torch.equal(weights[f"model.{word}"], saved[word])
    assert "name_or_path" not in json.dumps(config) and str(tmp_path) not in json.dumps(config)


def test_a_configuration_takes_neither_names_nor_paths(tmp_path: Path) -> None:
    BertConfig(**SMALL).save_pretrained(tmp_path)
    stated = json.loads((tmp_path / "config.json").read_text())
    stated |= {"_name_or_path": "/home/somebody/model", "secret": "x", "hidden_act": "gelu",
               "id2label": {"0": "/home/somebody"}, "label2id": {"/home/somebody": 0}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(stated))
    config = encoder.configuration(tmp_path, 2)
    assert "somebody" not in json.dumps(config) and "secret" not in json.dumps(config)
    assert config["details"]["hidden_act"] == "gelu" and config["details"]["hidden_size"] == 16


# --- a folder of one's own, with a tokenizer of its own -----------------------------------------------------


def words_of(tiny_folder: Path) -> list[str]:
    return (tiny_folder / "teacher" / "vocab.txt").read_text().splitlines()


@pytest.fixture
def own(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A RoBERTa-like model that counts words otherwise: padding is 1, every word its own number backwards."""
    import tiny
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    words = [*marks, *reversed([*tiny.GOOD, *tiny.BAD, *tiny.PLAIN])]
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.normalizer, backend.pre_tokenizer = Lowercase(), Whitespace()  # type: ignore[assignment]
    backend.post_processor = TemplateProcessing(  # type: ignore[assignment]
        single="<s> $A </s> </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    folder = tmp_path / "checkpoints" / "mine"
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(2)
    config = AutoConfig.for_model("roberta", **{**SMALL, "vocab_size": len(words), "type_vocab_size": 1})
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    monkeypatch.setenv("LIGHTBOARD_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return folder


def recipe_file(folder: Path, parameters: dict[str, Any], name: str = "my-model") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(
        f"name: {name}\nextends: checkpoint\nabout: {{title: Mine}}\n"
        f"tracks:\n  demo: {{parameters: {json.dumps(parameters)}}}\n"
    )
    return str(path)


def test_a_folder_becomes_an_open_entry_in_its_own_tokens(
    own: Path, tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    from suite.documents import Run
    from suite.index import index
    from suite.tables import read_predictions
    from suite.tasks import task
    from suite.verify import verify

    wanted = {
        "model": "mine",
        "revision": None,
        "training": {"epochs": 2, "lr": 1e-3, "batch": 16, "dropout": 0},
    }
    results, source = tmp_path / "results", f"folder:{tiny_folder}/glue"
    mine = recipe_file(tmp_path, wanted)
    folders = run(["reference", "majority", mine], track="demo", data=source, results=results)
    text = (folders[-1] / "run.json").read_text()
    found = Run.model_validate_json(text)
    assert found.recipe == "my-model" and found.division == "open" and found.model.architecture == "encoder"
    sha = digest_file(own / "model.safetensors").removeprefix("sha256:")
    assert found.settings["parameters"]["model"] == "mine" and found.settings["parameters"]["sha256"] == sha
    assert str(tmp_path) not in text and "checkpoints" not in text
    assert [(s.stage, s.shared) for s in found.stages] == [
        ("encode", True), ("checkpoint", True), ("finetune", False)
    ]  # fmt: skip

    (split,) = task("sst2").dev_splits
    # The shipped weights, transformers' own class and the tokenizer's own encoding give the very predictions.
    job_key = found.stages[-1].key
    store = Store(tiny_folder / "store")
    state = load_file(store.folder(job_key) / "model.safetensors")
    theirs = AutoModelForSequenceClassification.from_pretrained(own).eval()
    theirs.load_state_dict({name.removeprefix("model."): part for name, part in state.items()})
    dev = draw_of(tiny_track, "sst2", source).dev[split]
    batch = AutoTokenizer.from_pretrained(own)(list(dev["a"]), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = theirs(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.numpy()
    table = folders[-1] / "predictions.parquet"
    stored = read_predictions(table.read_bytes(), table, task("sst2"))[split]
    assert np.abs(stored.scores - logits[np.argsort(dev["row"])]).max() < 1e-4
    assert found.model.dev_lengths == {
        str(n): int(c)
        for n, c in zip(*np.unique(batch["attention_mask"].sum(1).numpy(), return_counts=True), strict=True)
    }

    entries = {entry.recipe: entry for entry in index(results)}
    assert entries["my-model"].division == "open" and entries["reference"].division == "standard"
    assert verify([results], "recounted").problems == []
    before = (folders[-1] / "run.json").stat().st_mtime_ns
    run([mine], track="demo", data=source, results=results)
    assert (folders[-1] / "run.json").stat().st_mtime_ns == before


def test_other_weights_in_the_folder_are_another_recipe(own: Path, tiny_track: Track, tmp_path: Path) -> None:
    path = recipe_file(tmp_path, {"model": "mine", "revision": None})
    first = resolve(path, "demo")
    weights = load_file(own / "model.safetensors")
    save_file({k: v + 1 for k, v in weights.items()}, own / "model.safetensors", metadata={"format": "pt"})
    assert resolve(path, "demo").hash != first.hash
    pinned = recipe_file(
        tmp_path, {"model": "mine", "revision": None, "sha256": first.parameters["sha256"]}, "pinned"
    )
    resolved = resolve(pinned, "demo")
    store, data = Store(tmp_path / "store"), draw_of(tiny_track, "mood", "generated")
    cell = cell_of(tiny_track, data, 11, store, tokenizer=tokenizer_of(resolved, tiny_track))
    with pytest.raises(UserError, match="sha256 of its weights is") as caught:
        execute(model_stages(resolved, cell).values(), store)
    assert "\n" not in str(caught.value)


class Told(Exception):
    """What a race was started with."""


@pytest.mark.parametrize("timed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_timing_asks_both_sides_the_same_texts(
    timed: bool,
    own: Path,
    tiny_track: Track,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from suite.documents import Measurement
    from suite.loading import load_profile
    from suite.measure import latency
    from suite.measure import run as measuring
    from suite.measure.subject import subjects
    from suite.measure.trace import queries

    mine = recipe_file(tmp_path, {"model": "mine", "revision": None, "training": {"epochs": 1, "lr": 1e-3}})
    source = f"folder:{tiny_folder}/glue"
    run(["reference", mine], track="demo", data=source, results=tmp_path / "results")
    (subject,) = subjects(mine, "default", tiny_track, None, source)
    quick = load_profile("quick").model_copy(update={"pairs": 1, "block_seconds": 0.01, "blocks": 2})
    origin = queries(subject.examples, 12).origin
    texts = [subject.examples[0].texts[row][0] for _, row in origin]
    ids = [
        [AutoTokenizer.from_pretrained(folder)(text)["input_ids"] for text in texts]
        for folder in (own, tiny_folder / "teacher")
    ]

    def race(*given: Any) -> None:
        raise Told(*given)

    if not timed:
        monkeypatch.setattr(latency, "race", race)
    try:
        (folder,) = measuring.compare(
            replace(subject, pairs=1), "torch", quick, tmp_path / "results", against=("alone",), count=12
        )
    except Told as told:
        traces = (told.args[2], told.args[5])
        for trace, wanted in zip(traces, ids, strict=True):
            assert [part.tolist() for part in np.split(trace.ids, trace.offsets[1:-1])] == wanted
    else:
        assert timed
        document = Measurement.model_validate_json((folder / "measurement.json").read_bytes())
        assert document.trace_lengths == tuple(map(len, ids[0]))
        assert document.reference_trace_lengths == tuple(map(len, ids[1]))
        assert document.answers.equal


def test_the_tracks_own_tokens_keep_their_key(tiny_track: Track, tiny_folder: Path, tmp_path: Path) -> None:
    """What is tokenised already is not tokenised again: the key is of the same parts as before."""
    from importlib.metadata import version

    data = draw_of(tiny_track, "sst2", f"folder:{tiny_folder}/glue")
    fingerprint = digest_file(tiny_folder / "teacher" / "model.safetensors").removeprefix("sha256:")
    params = {"task": "sst2", "max_length": 32, "outputs": 2, "tokenizer": fingerprint}
    parts = {
        "name": "encode", "version": 1, "params": params, "inputs": {}, "data": digest(data.fingerprints),
        "seed": 0, "threads": 1, "dtype": "float32", "torch": ".".join(version("torch").split(".")[:2]),
    }  # fmt: skip
    assert encoding(data, tiny_track, Tokenizer.of(tiny_track)).key == digest(parts)
    shipped = resolve("checkpoint", "demo")  # names the track's own reference: the same tokens
    assert tokenizer_of(shipped, tiny_track).fingerprint == fingerprint


def test_the_shipped_recipe_starts_where_the_reference_does(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    cell = cell_of(tiny_track, draw_of(tiny_track, "sst2", f"folder:{tiny_folder}/glue"), 11, store)
    stage = model_stages(resolve("checkpoint", "demo"), cell)["default"]
    start = stage.inputs["encoder"]
    execute([start], store)
    found = load_file(store.folder(start.key) / "model.safetensors")
    theirs = BertModel.from_pretrained(tiny_folder / "teacher").state_dict()
    assert found.keys() == {f"model.bert.{name}" for name in theirs}
    assert all(torch.equal(found[f"model.bert.{name}"], tensor) for name, tensor in theirs.items())
    assert stage.tflop == pytest.approx(3 * 2 * cell.forward(cell.config()))  # the reference's own arithmetic
    assert not stage.shared and start.shared


# --- a model of the hub -------------------------------------------------------------------------------------


def on_hub(cache: Path, source: Path, name: str, **parameters: Any) -> dict[str, Any]:
    cache_tree(cache, name, source)
    return {"model": name, "revision": COMMIT, **parameters}


def test_a_model_of_the_hub_by_its_commit(
    cache: Path, own: Path, tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    wanted = on_hub(cache, own, "acme/mine", training={"epochs": 1, "lr": 1e-3, "batch": 16})
    (folder,) = run(
        [recipe_file(tmp_path, wanted)],
        track="demo",
        data=f"folder:{tiny_folder}/glue",
        results=tmp_path / "r",
    )
    parameters = json.loads((folder / "run.json").read_text())["settings"]["parameters"]
    assert (parameters["model"], parameters["revision"]) == ("acme/mine", COMMIT)


def test_cost_needs_the_configuration_only(cache: Path, own: Path, tiny_track: Track, tmp_path: Path) -> None:
    (own / "model.safetensors").unlink()
    wanted = resolve(recipe_file(tmp_path, on_hub(cache, own, "acme/bare")), "demo")
    (config,) = variants(wanted, tiny_track, 2).values()
    theirs = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(own))
    assert count(config).parameters.total == sum(p.numel() for p in theirs.parameters())


def test_what_is_wrong_is_one_line_that_says_what_to_do(
    cache: Path,
    own: Path,
    tiny_track: Track,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = f"folder:{tiny_folder}/glue"

    def said(name: str, **parameters: Any) -> str:
        path = recipe_file(tmp_path, {"revision": None, **parameters}, name)
        with pytest.raises(UserError) as caught:
            run([path], track="demo", data=source, results=tmp_path / "r")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "parameters.revision: found nothing, expected the commit" in said("a", model="acme/mine")
    assert "not in the hub's cache" in said("b", model="acme/absent", revision=COMMIT)
    assert "found no other/config.json in LIGHTBOARD_CHECKPOINTS" in said("c", model="other")
    assert "parameters.model: found '../x'" in said("d", model="../x")
    assert "expected none: the model is a folder" in said("e", model="mine", revision=COMMIT)

    def variant(name: str, change: Any) -> str:
        folder = own.parent / name
        shutil.copytree(own, folder)
        change(folder)
        return said(name, model=name)

    def pickled(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(b"")

    def decoder(folder: Path) -> None:
        GPT2Config(n_layer=1, n_head=1, n_embd=8).save_pretrained(folder)

    def foreign(folder: Path) -> None:
        stated = {"model_type": "mystery", "auto_map": {"AutoConfig": "code.Mystery"}}
        (folder / "config.json").write_text(json.dumps(stated))
        (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")

    def slow(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()

    def narrow(folder: Path) -> None:
        BertConfig(**{**SMALL, "max_position_embeddings": 16}).save_pretrained(folder)

    def mixed(folder: Path) -> None:
        stated = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**stated, "intermediate_size": 48}))

    assert "pickled weights such as pytorch_model.bin are never opened" in variant("pickled", pickled)
    assert "model_type is 'gpt2', expected an encoder" in variant("decoder", decoder)
    assert "not a model that transformers knows by itself" in variant("foreign", foreign)
    assert not (tmp_path / "ran").exists()
    assert "found no tokenizer.json" in variant("slow", slow)
    assert "reads at most 16 tokens" in variant("narrow", narrow)
    assert "does not belong to this config.json" in variant("mixed", mixed)
    (own / "model.safetensors").unlink()
    cache_tree(cache, "acme/weightless", own)
    assert "found no model.safetensors at that commit" in said("f", model="acme/weightless", revision=COMMIT)
    monkeypatch.delenv("LIGHTBOARD_CHECKPOINTS")
    assert "LIGHTBOARD_CHECKPOINTS set to the folder" in said("g", model="mine")


# --- released encoders --------------------------------------------------------------------------------------


@pytest.fixture
def student(tiny_track: Track) -> models.Config:
    body = tiny_track.teacher.config
    sizes = {name: body[name] for name in ("hidden", "heads", "ffn", "vocab", "positions")}
    return {
        "architecture": "distilbert",
        "layers": 2,
        "outputs": 1,
        "dropout": 0.1,
        "head_dropout": 0.2,
        **sizes,
    }


@pytest.fixture
def cell(tiny_track: Track, tiny_folder: Path, tmp_path: Path) -> Cell:
    data = draw_of(tiny_track, "sst2", f"folder:{tiny_folder}/glue")
    return cell_of(tiny_track, data, 11, Store(tmp_path / "store"))


def publish(folder: Path, student: models.Config, tiny_folder: Path, **changes: Any) -> Path:
    """A DistilBERT with its masked-LM head, as its authors released theirs."""
    sizes = {
        "vocab_size": student["vocab"], "dim": student["hidden"], "n_heads": student["heads"], "n_layers": 2,
        "hidden_dim": student["ffn"], "max_position_embeddings": student["positions"],
    }  # fmt: skip
    torch.manual_seed(7)
    DistilBertForMaskedLM(DistilBertConfig(**{**sizes, **changes})).save_pretrained(folder)
    BertTokenizerFast.from_pretrained(tiny_folder / "teacher").save_pretrained(folder)
    return folder


def fetched(cell: Cell, released: Released, config: models.Config, tmp_path: Path) -> dict[str, torch.Tensor]:
    stage, store = released_stage(cell, released, config), Store(tmp_path / "store")
    assert stage.shared and stage.tflop == 0
    execute([stage], store)
    return load_file(store.folder(stage.key) / "model.safetensors")


def test_a_released_encoder_loses_its_head_and_keeps_its_weights(
    cache: Path, cell: Cell, student: models.Config, tiny_folder: Path, tmp_path: Path
) -> None:
    source = publish(tmp_path / "source", student, tiny_folder)
    cache_tree(cache, "acme/distilbert", source)
    sha = digest_file(source / "model.safetensors").removeprefix("sha256:")
    found = fetched(cell, Released(hub="acme/distilbert", revision=COMMIT, sha256=sha), student, tmp_path)
    saved = load_file(source / "model.safetensors")
    assert found.keys() == {name for name in saved if name.startswith("distilbert.")}
    assert all(torch.equal(found[name], saved[name]) for name in found)


@pytest.mark.parametrize("bare", [True, False])
def test_older_names_and_weights_alone(
    bare: bool, cache: Path, cell: Cell, tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    """``pytorch_model.bin``, without a prefix or with one, norms' weights called gamma and beta, and a head."""
    config = {**tiny_track.teacher.config, "layers": 6, "outputs": 1}
    theirs = BertModel.from_pretrained(tiny_folder / "teacher").state_dict()
    source = tmp_path / "source"
    shutil.copytree(tiny_folder / "teacher", source)
    (source / "model.safetensors").unlink()
    prefix = "" if bare else "bert."
    old = {
        prefix
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for name, t in theirs.items()
    }
    more = {"cls.predictions.bias": torch.zeros(3), "fit_denses.0.weight": torch.zeros(2, 2)}
    torch.save({**old, **({} if bare else more)}, source / "pytorch_model.bin")
    cache_tree(cache, "acme/old", source)
    found = fetched(cell, Released(hub="acme/old", revision=COMMIT), config, tmp_path)
    assert found.keys() == {f"bert.{name}" for name in theirs}
    assert all(torch.equal(found[f"bert.{name}"], tensor) for name, tensor in theirs.items())


class Evil:
    def __reduce__(self) -> Any:
        return (exec, (f"open({os.environ['LIGHTBOARD_TEST_MARK']!r}, 'w')",))


def test_a_pickle_that_would_run_something_is_refused(
    cache: Path,
    cell: Cell,
    student: models.Config,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIGHTBOARD_TEST_MARK", str(tmp_path / "ran"))
    source = publish(tmp_path / "source", student, tiny_folder)
    (source / "model.safetensors").unlink()
    torch.save({"distilbert.x": Evil()}, source / "pytorch_model.bin")
    cache_tree(cache, "acme/evil", source)
    with pytest.raises(UserError, match="cannot be read as weights alone") as caught:
        fetched(cell, Released(hub="acme/evil", revision=COMMIT), student, tmp_path)
    assert "\n" not in str(caught.value) and not (tmp_path / "ran").exists()
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    cache_tree(cache, "acme/worse", source)
    with pytest.raises(UserError, match="cannot be read as weights alone"):
        fetched(cell, Released(hub="acme/worse", revision=COMMIT), student, tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 2}, "2 attention heads there and 4"),
        ({"n_layers": 3}, "it has distilbert.transformer.layer.2"),
        ({"n_layers": 1}, "it has no distilbert.transformer.layer.1"),
        ({"hidden_dim": 48}, r"is \[48, 32\] there and \[64, 32\]"),
    ],
)
def test_a_released_encoder_of_other_sizes_is_refused(
    changes: dict[str, int], message: str, cache: Path, cell: Cell, student: models.Config, tiny_folder: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    cache_tree(cache, "acme/other", publish(tmp_path / "source", student, tiny_folder, **changes))
    with pytest.raises(UserError, match=message) as caught:
        fetched(cell, Released(hub="acme/other", revision=COMMIT), student, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_released_encoder_must_be_the_one_that_is_meant(
    cache: Path, cell: Cell, student: models.Config, tiny_folder: Path, tmp_path: Path
) -> None:
    source = publish(tmp_path / "source", student, tiny_folder)
    cache_tree(cache, "acme/one", source)
    with pytest.raises(UserError, match=r"sha256 of model\.safetensors is"):
        fetched(cell, Released(hub="acme/one", revision=COMMIT, sha256="0" * 64), student, tmp_path)
    with pytest.raises(UserError, match="not in the hub's cache"):
        fetched(cell, Released(hub="acme/none", revision=COMMIT), student, tmp_path)
    words = words_of(tiny_folder)
    words[-1], words[-2] = words[-2], words[-1]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (source / name).unlink()
    (source / "vocab.txt").write_text("\n".join(words) + "\n")
    cache_tree(cache, "acme/words", source)
    with pytest.raises(UserError, match="its vocabulary is not the track's"):
        fetched(cell, Released(hub="acme/words", revision=COMMIT), student, tmp_path)


def test_distilbert_starts_from_what_its_recipe_names(
    cache: Path, cell: Cell, student: models.Config, tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    cache_tree(cache, "acme/distilbert", publish(tmp_path / "source", student, tiny_folder))
    demo = resolve("distilbert", "demo")
    general = {"hub": "acme/distilbert", "revision": COMMIT}
    training = {**demo.parameters["training"], "epochs": 1, "dropout": 0.0, "lr": 1e-9}
    resolved = replace(demo, parameters={"teacher_layers": [0, 5], "general": general, "training": training})
    stage = model_stages(resolved, cell)["default"]
    assert [s.name for s in closure([stage])] == ["encode", "released", "finetune"]
    store = Store(tmp_path / "store")
    execute([stage], store)
    model = models.load(store.folder(stage.key))
    theirs = DistilBertForMaskedLM.from_pretrained(tmp_path / "source").distilbert.eval()
    dev = Encoded.load(store.folder(cell.encoded.key) / cell.task.dev_splits[0])
    one = make_batch(dev, np.arange(8))
    with torch.no_grad():
        wanted = theirs(input_ids=one.ids, attention_mask=one.mask).last_hidden_state
        found = model.states(*one.inputs)[-1]  # type: ignore[operator]
    assert torch.allclose(found[one.mask.bool()], wanted[one.mask.bool()], atol=1e-3)
    assert np.isfinite(logits_of(model, dev)).all()


def test_mobilebert_starts_from_what_its_recipe_names(
    cache: Path, cell: Cell, tiny_folder: Path, tmp_path: Path
) -> None:
    """Without a teacher; and padding says nothing, whatever the released table holds for it."""
    demo = resolve("mobilebert", "demo")
    training = {**demo.parameters["training"], "epochs": 1, "lr": 1e-9}
    general = {"hub": "acme/mobilebert", "revision": COMMIT}
    resolved = replace(demo, parameters={**demo.parameters, "general": general, "training": training})
    sizes = variants(resolved, cell.track, cell.task.outputs)["default"]
    torch.manual_seed(7)
    released = MobileBertForMaskedLM(
        MobileBertConfig(
            vocab_size=sizes["vocab"], hidden_size=sizes["hidden"], num_hidden_layers=sizes["layers"],
            num_attention_heads=sizes["heads"], intermediate_size=sizes["ffn"], embedding_size=sizes["embedding"],
            intra_bottleneck_size=sizes["inner"], num_feedforward_networks=sizes["feedforwards"],
            max_position_embeddings=sizes["positions"], type_vocab_size=sizes["types"],
        )
    )  # fmt: skip
    released.mobilebert.embeddings.word_embeddings.weight.data[0] = 1.0
    released.save_pretrained(tmp_path / "source")
    BertTokenizerFast.from_pretrained(tiny_folder / "teacher").save_pretrained(tmp_path / "source")
    cache_tree(cache, "acme/mobilebert", tmp_path / "source")
    stage = model_stages(resolved, cell)["default"]
    assert [s.name for s in closure([stage])] == ["encode", "released", "finetune"]
    store = Store(tmp_path / "store")
    execute([stage], store)
    found = models.load(store.folder(stage.key)).state_dict()
    wanted = {
        name: tensor for name, tensor in released.state_dict().items() if name.startswith("mobilebert.")
    }
    table = "mobilebert.embeddings.word_embeddings.weight"
    assert not found[table][0].any()
    for name in wanted.keys() & found.keys():
        start = 1 if name == table else 0
        assert torch.allclose(found[name][start:], wanted[name][start:], atol=1e-5), name


def test_a_recipe_names_one_start_and_mistakes_are_told_of_that_one() -> None:
    base = resolve("distilbert", "base").parameters["general"]
    assert set(base) == {"hub", "revision", "sha256"} and len(base["revision"]) == 40
    scratch = resolve("distilbert-scratch", "base").parameters["general"]
    assert set(scratch) == {"tokens", "training", "temperature", "weights"}
    # The landed runs' settings: not a field more than when they were made.
    for track in ("mini", "demo"):
        assert set(resolve("distilbert", track).parameters["general"]) == set(scratch)
    good = load_recipe("distilbert").tracks["demo"].parameters
    for general, message in (
        ({"hub": "acme/x", "revision": "main"}, "general.released.revision"),
        ({"hub": "acme/x", "revision": COMMIT, "tokens": 5}, "general.released.tokens"),
        ({"tokens": 5}, "general.distilled.weights"),
    ):
        with pytest.raises(ValueError, match=message):
            DistilBertParameters.model_validate({**good, "general": general})


def test_a_landed_run_is_still_of_todays_recipe() -> None:
    """Adding a way to start did not make another recipe of the runs that are there."""
    found = sorted(Path(__file__).parent.parent.glob("results/mini/runs/distilbert/default/*/run.json"))
    assert found, "no landed DistilBERT run"
    hashes = {json.loads(path.read_text())["recipe_hash"] for path in found}
    assert resolve("distilbert", "mini").hash in hashes


def test_the_teacher_is_found_without_the_hub(tiny_track: Track, tiny_folder: Path) -> None:
    assert pretrained.folder(protocol.TRACKS["demo"].teacher) == tiny_folder / "teacher"
