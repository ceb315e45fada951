"""Find a model's files and load them, with errors a user can act on.

Everything here that runs before the first score is cheap: files are looked at, hashed and read as JSON, torch is not
imported. Weights come from safetensors or from torch's weights-only reader; code of a model's repository runs only
where ``--trust`` names it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fresco.errors import FrescoError
from fresco.models import quantized
from fresco.models.in_memory import ModelInMemory
from fresco.models.settings import Settings
from fresco.models.trust import code_options, commit_for, refusal

if TYPE_CHECKING:
    import torch

_LIBRARIES = ("torch", "transformers", "sentence_transformers")
_DTYPES = ("float32", "bfloat16", "float16", "auto", "int8")
_WEIGHTS = (".safetensors", ".bin")
#: Configs, vocabularies, templates, code, ColBERT's settings: they change scores too.
_CONFIGS = (".json", ".txt", ".model", ".jinja", ".py", ".metadata")
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spm.model",
)
_Model = TypeVar("_Model")


@dataclass(frozen=True)
class ModelFiles:
    """Where a model lies.

    Attributes:
        family: The re-ranker family that asks, for error messages.
        model: As the user wrote it: a folder or a Hugging Face model id.
        folder: The local folder, or None for a model of the hub.
        revision: The hub's commit hash, or None for a local folder.
    """

    family: str
    model: str
    folder: Path | None
    revision: str | None

    @property
    def location(self) -> str:
        """What ``from_pretrained`` takes."""
        return self.model if self.folder is None else str(self.folder)

    @property
    def identity(self) -> str:
        """Content hash of a local folder, or the hub's id and commit."""
        return f"{self.model}@{self.revision}" if self.folder is None else _folder_hash(self.folder)

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file of the model as a mapping; empty where the model has none.

        Raises:
            FrescoError: the file is no JSON object.
        """
        path = self._path(name)
        if path is None:
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FrescoError(f"{self.family}:{self.model}: {name} is not readable JSON ({_line(error)})") from error
        if not isinstance(content, dict):
            raise FrescoError(f"{self.family}:{self.model}: {name} is no JSON object")
        return content

    @property
    def architecture(self) -> str:
        """The class that the model's config names, such as ``Qwen3ForCausalLM``."""
        architectures = self.json("config.json").get("architectures")
        return str(architectures[0]) if isinstance(architectures, list) and architectures else "unknown"

    def has(self, name: str) -> bool:
        """Whether the model has such a file."""
        return self._path(name) is not None

    def _path(self, name: str) -> Path | None:
        if self.folder is not None:
            path = self.folder / name
            return path if path.is_file() else None
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            return Path(hf_hub_download(self.model, name, revision=self.revision))
        except EntryNotFoundError:  # LocalEntryNotFoundError besides: offline, and not among the cached files
            return None
        except Exception as error:  # as in _hub_commit
            raise FrescoError(f"{self.family}:{self.model}: cannot fetch {name} ({_line(error)})") from error


def find_model(family: str, model: str, settings: Settings, revision: str | None = None) -> ModelFiles:
    """Check that a model can be loaded, without loading it.

    Args:
        family: ``dense``, ``cross-encoder`` or ``causal-lm``.
        model: A folder or a Hugging Face model id; ``ID@REVISION`` pins a branch, tag or commit of the hub.
        settings: Their dtype is checked.
        revision: The same, where the id says nothing; None for the default branch.

    Raises:
        FrescoError: the extra is not installed, the dtype is unknown, the folder is missing or holds no weights, the
            hub does not know the model or cannot be reached and nothing is cached.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise FrescoError(f"{family}:{model} needs {', '.join(missing)}; run pip install 'fresco-ccs[models]'")
    if settings.dtype not in _DTYPES:
        raise FrescoError(f"--dtype {settings.dtype}: unknown; choose {', '.join(_DTYPES)}")
    quantized.check_family(family, settings)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not any(path.suffix in _WEIGHTS for path in _files(folder)):
            raise FrescoError(f"{family}:{model}: no weights (*.safetensors or *.bin) in folder {folder}")
        return ModelFiles(family, model, folder, None)
    if folder.exists():
        raise FrescoError(f"{family}:{model}: {folder} is a file; name the folder that holds the model")
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise FrescoError(f"{family}:{model}: there is no folder {folder}")
    model, _, pinned = model.partition("@")
    revision = pinned or revision or commit_for(model, settings.trust)
    return ModelFiles(family, model, None, _hub_commit(family, model, revision))


#: What the families read facts of before anything is loaded.
Model = ModelFiles | ModelInMemory


def find_or_hold(family: str, model: str | Any, settings: Settings, revision: str | None = None) -> Model:
    """:func:`find_model` for a name; for an object of sentence-transformers, the object."""
    if isinstance(model, str):
        return find_model(family, model, settings, revision)
    return ModelInMemory(family, model)


def library_versions() -> str:
    """Major versions of the libraries that compute scores, as one word for a fingerprint."""
    return ",".join(f"{name}{importlib.metadata.version(name).split('.')[0]}" for name in _LIBRARIES)


def load(files: ModelFiles, make: Callable[[], _Model], *, all_weights: bool = True) -> _Model:
    """Run a library's loader, without its progress bars, and turn what it raises into one line.

    Args:
        files: What is loaded, for error messages.
        make: Calls the library.
        all_weights: Whether each weight of the model must be in its files. The libraries fill what is missing, such as
            a scoring head, with random numbers and only log it.

    Raises:
        FrescoError: there is no tokenizer, the loader failed, or weights are missing.
    """
    _check_tokenizer(files)
    from transformers.utils import logging as library_logging

    bars, verbosity = library_logging.is_progress_bar_enabled(), library_logging.get_verbosity()
    library_logging.disable_progress_bar()
    library_logging.set_verbosity_warning()
    reports = _Reports()
    library_logging.add_handler(reports)
    try:
        model = make()
    except FrescoError:
        raise
    except Exception as error:  # a damaged file can raise anything inside three libraries
        if "trust_remote_code" in str(error):
            config = files.json("config.json")
            raise FrescoError(refusal(files.family, files.model, files.folder, files.revision, config)) from error
        raise FrescoError(
            f"{files.family}:{files.model}: cannot be loaded from {files.location} ({_line(error)})"
        ) from error
    finally:
        library_logging.remove_handler(reports)
        library_logging.set_verbosity(verbosity)
        if bars:
            library_logging.enable_progress_bar()
    if all_weights and reports.missing:
        raise FrescoError(
            f"{files.family}:{files.model}: its files lack weights of {files.architecture} "
            f"({', '.join(reports.missing[:3])}); scores would be random"
        )
    return model


def code_of(files: ModelFiles, settings: Settings) -> dict[str, Any]:
    """Keyword arguments that say whether the model's own code may run; see :mod:`fresco.models.trust`."""
    options: dict[str, Any] = code_options(
        files.family, files.model, files.folder, files.json("config.json"), settings.trust
    )
    return options


@lru_cache(maxsize=8)
def tokenizer(files: ModelFiles) -> Any:
    """The model's tokenizer; one that was loaded for its template is not loaded again for its tokens.

    Raises:
        FrescoError: there is none, or it cannot be loaded.
    """
    from transformers import AutoTokenizer

    return load(
        files, lambda: AutoTokenizer.from_pretrained(files.location, revision=files.revision, trust_remote_code=False)
    )


def _check_tokenizer(files: ModelFiles) -> None:
    """Refuse a folder without one: the libraries make an empty one, to which every word is unknown, and say nothing."""
    folder = files.folder
    if folder is None or any([*folder.glob(name), *folder.glob(f"*/{name}")] for name in _TOKENIZERS):
        return
    raise FrescoError(
        f"{files.family}:{files.model}: no tokenizer ({' or '.join(_TOKENIZERS[:5])}) in folder {folder}; save it "
        "beside the weights"
    )


class _Reports(logging.Handler):
    """Reads transformers' report of loading for rows such as ``classifier.weight | MISSING |``."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.missing: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        rows = [line.split("|") for line in record.getMessage().splitlines() if "|" in line]
        self.missing += [cells[0].strip() for cells in rows if "MISSING" in cells[1]]


def torch_device(settings: Settings) -> torch.device:
    """The device to compute on; without a wish CUDA, then MPS, then the CPU.

    Raises:
        FrescoError: no such device here.
    """
    import torch

    name = settings.device or (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )
    if name == "all" or "," in name:
        raise FrescoError(f"--device {name}: this runs on one device; name one")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise FrescoError(f"--device {name}: not usable here ({_line(error)})") from error
    quantized.check_device(device, settings)
    return device


def torch_dtype(settings: Settings, *, quantizes: bool = False) -> torch.dtype | str:
    """What ``from_pretrained`` takes as ``dtype``.

    Args:
        settings: Of the run.
        quantizes: Whether the caller hands the model to :func:`fresco.models.quantized.quantize`.

    Raises:
        FrescoError: int8, and it does not.
    """
    import torch

    if settings.dtype == "auto":
        return "auto"
    if settings.dtype == quantized.INT8:
        if not quantizes:
            raise FrescoError("--dtype int8 is for scoring pairs, and this does something else; choose float32")
        return torch.float32
    dtype: torch.dtype = getattr(torch, settings.dtype)
    return dtype


def token_limit(spec: str, model: Any, tokenizer: Any, wanted: int | None, default: int = sys.maxsize) -> int:
    """The longest input of a model in tokens.

    Args:
        spec: For error messages.
        model: Of transformers.
        tokenizer: Its ``model_max_length`` is the default, where that is less than the model has positions.
        wanted: What the user asked for; None for the default.
        default: A published limit that is less than either.

    Raises:
        FrescoError: the user wants more than the model has positions, or less than one token.
    """
    import torch

    positions: int = getattr(model.config.get_text_config(), "max_position_embeddings", None) or sys.maxsize
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding) and isinstance(getattr(module, "padding_idx", None), int):
            positions = table.num_embeddings - module.padding_idx - 1  # RoBERTa's kind counts from the padding id on
    if wanted is None:
        return min(positions, int(tokenizer.model_max_length), default)
    if not 0 < wanted <= positions:
        raise FrescoError(f"--max-length {wanted}: {spec} reads 1 to {positions} tokens")
    return wanted


def length_limit(files: Model, model: Any, tokenizer: Any, settings: Settings) -> int:
    """:func:`token_limit` as the user set it: by an option for a model on disk, on the object for a loaded one."""
    spec = f"{files.family}:{files.model}"
    if isinstance(files, ModelInMemory):
        return token_limit(spec, model, tokenizer, None, files.limit)
    return token_limit(spec, model, tokenizer, settings.max_length)


def release(device: torch.device | None) -> None:
    """Give freed memory of a device back to it."""
    import torch

    if device is not None and device.type == "cuda":
        torch.cuda.empty_cache()


def _hub_commit(family: str, model: str, revision: str | None) -> str:
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        info = HfApi().model_info(model, revision=revision, timeout=20)
    except HFValidationError as error:
        raise FrescoError(f"{family}:{model}: neither a folder nor a model id ({_line(error)})") from error
    except RepositoryNotFoundError as error:
        raise FrescoError(f"{family}:{model}: no folder of that name, and no (public) model on the hub") from error
    except (
        Exception
    ) as error:  # no network, offline mode, HTTP errors: types differ between versions of the hub's client
        # The cache's folder for a commit bears its hash: .../snapshots/<commit>/config.json
        cached = try_to_load_from_cache(model, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name
        raise FrescoError(
            f"{family}:{model}: no folder of that name, the hub cannot be reached and the model is not in its cache "
            f"({type(error).__name__}); name a local folder"
        ) from error
    names: Sequence[str] = [sibling.rfilename for sibling in info.siblings or ()]
    if not any(name.endswith(_WEIGHTS) for name in names):
        raise FrescoError(f"{family}:{model}: the hub's repository holds no weights (*.safetensors or *.bin)")
    return str(info.sha)


def _files(folder: Path) -> list[Path]:
    # One level of subfolders: sentence-transformers keeps each module's weights in its own.
    paths = [*folder.glob("*"), *folder.glob("*/*")]
    return sorted(path for path in paths if path.suffix in (*_WEIGHTS, *_CONFIGS) and path.is_file())


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(folder):
        stat = path.stat()
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(_file_hash(path.resolve(), stat.st_size, stat.st_mtime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _file_hash(path: Path, _size: int, _mtime_ns: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0].strip()}"[:300]
