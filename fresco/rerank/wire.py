"""What a served ``/rerank`` speaks: the wire formats, the options in the URL's fragment, and who answers there.

Formats, from the servers' own request schemas: vLLM ``entrypoints/pooling/scoring/protocol.py`` (0.31), TEI
``router/src/http/types.rs``, Infinity ``fastapi_schemas/pymodels.py``, SGLang ``entrypoints/openai/protocol.py``,
https://docs.cohere.com/v2/reference/rerank, https://jina.ai/reranker, https://docs.voyageai.com/reference/reranker-api,
https://help.aliyun.com/zh/model-studio/text-rerank-api (DashScope).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from fresco.clients.endpoint import Endpoint
from fresco.clients.json_api import Answer, JsonClient
from fresco.errors import FrescoError


@dataclass(frozen=True)
class Format:
    """A wire format: the names of its fields and what it can carry."""

    texts: str = "documents"
    score: str = "relevance_score"
    results: str | None = "results"  # None: the answer itself is the list
    constant: Mapping[str, Any] = field(default_factory=dict)
    truncation: Mapping[bool, Mapping[str, Any]] | None = None  # what asks for it and what forbids it
    counts: bool = False  # top_n, without which a hosted API may answer fewer
    names_model: bool = True
    needs_model: bool = False
    takes_instruction: bool = False
    instruction: str = "instruction"  # the field's name
    nested: bool = False  # texts under "input", all else under "parameters", rows under "output"
    batch: int = 1000


FORMATS: dict[str, Format] = {
    "vllm": Format(takes_instruction=True, truncation={True: {"truncate_prompt_tokens": -1}, False: {}}),
    "tei": Format(
        texts="texts",
        score="score",
        results=None,
        constant={"raw_scores": True},
        truncation={True: {"truncate": True}, False: {"truncate": False}},
        names_model=False,
        batch=32,
    ),
    "infinity": Format(constant={"raw_scores": True, "return_documents": False}, batch=2048),
    "sglang": Format(
        score="score",
        results=None,
        constant={"return_documents": False},
        takes_instruction=True,
        instruction="instruct",
    ),
    "cohere": Format(counts=True, needs_model=True),
    "jina": Format(counts=True, needs_model=True, constant={"return_documents": False}),
    "voyage": Format(
        results="data",
        needs_model=True,
        constant={"return_documents": False},
        truncation={True: {"truncation": True}, False: {"truncation": False}},
    ),
    "dashscope": Format(
        counts=True,
        needs_model=True,
        constant={"return_documents": False},
        takes_instruction=True,
        instruction="instruct",
        nested=True,
        batch=500,
    ),
}
_HOSTS = {"api.cohere.com": "cohere", "api.cohere.ai": "cohere", "api.jina.ai": "jina", "api.voyageai.com": "voyage"}
_HOSTS |= {"dashscope.aliyuncs.com": "dashscope", "dashscope-intl.aliyuncs.com": "dashscope"}
_PATHS = {"/services/rerank/text-rerank/text-rerank": "dashscope", "/v2/rerank": "cohere", "/v1/rerank": "jina"}
_ENDPOINT = re.compile(r"(/v[12])?/rerank/?$")
_OWNERS = ("vllm", "infinity", "sglang")


@dataclass(frozen=True)
class Options:
    """The URL's fragment."""

    format: str = "auto"
    model: str | None = None
    key: str | None = None
    batch: int | None = None
    concurrency: int = 4
    timeout: float = 120.0
    retries: int = 5
    truncate: bool = False
    pointwise: bool = True

    @classmethod
    def parse(cls, fragment: str) -> Options:
        """Read ``name=value&...``, percent-decoded; a plus stays a plus.

        Raises:
            FrescoError: an option is unknown, given twice or has no fitting value.
        """
        given: dict[str, Any] = {}
        for part in fragment.split("&") if fragment else []:
            name, _, value = part.partition("=")
            if name not in _READERS:
                raise bad(f"unknown option {unquote(name)!r} after #; known are {', '.join(_READERS)}")
            if name in given:
                raise bad(f"option {name}= is given twice")
            wanted, read = _READERS[name]
            try:
                given[name] = read(unquote(value))
            except (ValueError, KeyError):
                # The value is not repeated: a key pasted after key= must not reach the screen.
                raise bad(f"option {name}= wants {wanted}") from None
        return cls(**given)


def bad(problem: str) -> FrescoError:
    """What is wrong with the spec, as an error to raise."""
    return FrescoError(f"--reranker http: {problem}")


def _at_least(least: int) -> Callable[[str], Any]:
    def read(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) < least:
            raise ValueError
        return int(value)

    return read


def _matching(pattern: str) -> Callable[[str], Any]:
    def read(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return read


def _seconds(value: str) -> float:
    if not 0 < float(value) <= 86400:
        raise ValueError
    return float(value)


_READERS: dict[str, tuple[str, Any]] = {
    "format": (f"auto or one of {', '.join(FORMATS)}", _matching("|".join(["auto", *FORMATS]))),
    "model": ("the name of a model", _matching(r".+")),
    "key": ("the name of the environment variable that holds the key, never the key", _matching(r"[A-Za-z_]\w*")),
    "batch": ("a whole number from 1", _at_least(1)),
    "concurrency": ("a whole number from 1", _at_least(1)),
    "timeout": ("seconds above 0", _seconds),
    "retries": ("a whole number from 0", _at_least(0)),
    "truncate": ("yes or no", {"yes": True, "no": False}.__getitem__),
    "pointwise": ("yes or no", {"yes": True, "no": False}.__getitem__),
}


@dataclass(frozen=True)
class Server:
    """What answers at the endpoint, as far as it can be known."""

    format: str
    decided_by: str
    model: str | None
    batch: int
    extra: Mapping[str, Any]  # fields of every request that this server, not its format, allows
    facts: Mapping[str, Any]  # what it says of itself


def identify(client: JsonClient, endpoint: Endpoint, options: Options) -> Server:
    """Ask the server who it is, by GETs that score nothing.

    Raises:
        FrescoError: no server answers, or its format or model cannot be told.
    """
    return _Inquiry(client, endpoint, options).server()


class _Inquiry:
    """The GETs beside one endpoint, and what they came to."""

    def __init__(self, client: JsonClient, endpoint: Endpoint, options: Options) -> None:
        self._client, self._endpoint, self._options = client, endpoint, options
        self._host, self._path = urlsplit(endpoint.url).hostname or "", urlsplit(endpoint.url).path
        found = _ENDPOINT.search(self._path)
        self._base = self._path[: found.start()] if found else ""
        self._statuses: dict[str, str] = {}

    def server(self) -> Server:
        given = self._options.format
        name, decided_by = (_HOSTS.get(self._host), "host") if given == "auto" else (given, "option format=")
        info = self._info() if name in (None, "tei") else {}
        if name is None and "max_client_batch_size" in info:
            name, decided_by = "tei", "GET /info"
        wants_model = name != "tei" and self._options.model is None and self._host not in _HOSTS
        listing = self._listing() if name in (None, "vllm") or wants_model else []
        if name is None and listing and listing[0].get("owned_by") in _OWNERS:
            name, decided_by = str(listing[0]["owned_by"]), "owner of the listed models"
        if name is None:
            name, decided_by = self._by_path()
        model = self._options.model or (info.get("model_id") if name == "tei" else self._model(name, listing))
        allowed = info.get("max_client_batch_size")
        batch = self._options.batch or (allowed if isinstance(allowed, int) and allowed > 0 else FORMATS[name].batch)
        if name == "vllm":
            facts = _known(listing[0] if listing else {}, "max_model_len") | _known(self._look("/version"), "version")
        else:
            facts = _known(info, "model_id", "model_sha", "model_dtype", "max_input_length", "version")
        return Server(name, decided_by, model, batch, self._extra(name), facts)

    def _extra(self, name: str) -> dict[str, Any]:
        truncation = FORMATS[name].truncation
        if self._options.truncate and truncation is None:
            raise bad(f"truncate=yes: a request of format {name} cannot say so; leave it out")
        extra = dict(truncation[self._options.truncate]) if truncation else {}
        # Logits instead of their sigmoid keep apart what float32 makes 1.0. Only a classifier may be asked for them:
        # with vLLM's other scoring models the same field switches off the normalization of embeddings.
        if name == "vllm" and self._get("/classify").status == HTTPStatus.METHOD_NOT_ALLOWED:
            extra["use_activation"] = False
        return extra

    def _by_path(self) -> tuple[str, str]:
        for path, name in _PATHS.items():
            if self._path.rstrip("/").endswith(path):
                return name, f"path {path}"
        looked = ", ".join(f"{path} {status}" for path, status in self._statuses.items())
        raise bad(
            f"cannot tell which format {self._endpoint.shown} speaks (GET {looked}); "
            f"add #format= with one of {', '.join(FORMATS)}"
        )

    def _model(self, name: str, listing: list[dict[str, Any]]) -> str | None:
        # vLLM lists adapters with their parent; Infinity says what each model can do.
        usable = [
            str(row["id"])
            for row in listing
            if "id" in row and not row.get("parent") and "rerank" in (row.get("capabilities") or ["rerank"])
        ]
        if len(usable) > 1:
            some = ", ".join(usable[:8])
            raise bad(f"{self._endpoint.shown} serves several models; choose with #model= ({self._client.hide(some)})")
        if not usable and FORMATS[name].needs_model:
            raise bad(f"format {name} ({self._endpoint.shown}) needs a model; add #model=NAME")
        return usable[0] if usable else None

    def _info(self) -> dict[str, Any]:
        info = self._look("/info")
        return info if isinstance(info, dict) and "model_id" in info else {}

    def _listing(self) -> list[dict[str, Any]]:
        for path in ("/v1/models", "/models"):
            said = self._look(path)
            rows = said.get("data") if isinstance(said, dict) else None
            if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
                return rows
        return []

    def _look(self, path: str) -> Any:
        answer = self._get(path)
        self._statuses[path] = str(answer.status)
        try:
            return answer.json() if answer.status == HTTPStatus.OK else None
        except ValueError:
            self._statuses[path] = "no JSON"
            return None

    def _get(self, path: str) -> Answer:
        return self._client.get(self._endpoint.beside(self._base + path))


def _known(said: Any, *names: str) -> dict[str, Any]:
    said = said if isinstance(said, dict) else {}
    return {name: said[name] for name in names if isinstance(said.get(name), str | int)}
