"""Model folders from the Hugging Face hub or its cache: named files of one pinned commit, nothing that is run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from suite.errors import UserError

WEIGHTS = "model.safetensors"
PICKLED = "pytorch_model.bin"
CONFIG = "config.json"
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt",
)  # fmt: skip

HubName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$")
]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]  # a branch could move
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@lru_cache
def snapshot(hub: str, revision: str, files: tuple[str, ...]) -> Path:
    """The folder that holds those of ``files`` which the repository has at a commit.

    UserError in one line when there is no such model or commit, or neither cache nor hub can give it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(hub, revision=revision, allow_patterns=list(files)))
    except GatedRepoError as error:
        raise UserError(
            f"model {hub}: the hub gives it only to those who accepted its terms; accept them there and log in "
            "with 'hf auth login'",
            code=1,
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(
            f"model {hub}: the hub has no commit {revision}; copy one from its history there"
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"model {hub}: the hub has no such model; check its name (OWNER/NAME as in its address)"
        ) from error
    except Exception as error:  # the hub raises many kinds; each means the same to the user
        raise UserError(
            f"model {hub} at {revision[:12]}: not in the hub's cache and the hub cannot be reached "
            f"({type(error).__name__}); connect once, or set HF_HOME to a cache that has it",
            code=1,
        ) from error
