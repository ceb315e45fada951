"""How far `ccs rollout` is from the time that its servers take: many episodes of several turns, a thousand in flight.

    pip install -e ".[ccs]" && python eval/rollout_speed.py

A scripted server in a process of its own takes a second for each turn, as many at once as are asked for, and answers
searches at once; so all that is above the ideal is ours: connections, protocol, records, the file. The ideal is
episodes x turns x seconds / in flight; since an episode's turns follow one another, places stand empty at the end, and
the least that episodes begun in order can take is written beside it. Run nothing beside it: one core is the server's,
one ours.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import study

from ccs.agent.environment import Limits
from ccs.agent.question import Question
from ccs.retrieve.client import RetrieverClient
from ccs.rollouts.one import Sampling
from ccs.rollouts.run import RolloutPlan, run_rollouts
from fresco.clients.llm import ChatClient

_HITS = [{"document": {"id": str(n), "contents": f'"Page {n}"\n' + "text " * 100}, "score": 1.0} for n in range(3)]
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class _Server(asyncio.Protocol):
    """HTTP as little as these clients need: whole requests with a length, one after the other on a connection."""

    seconds, turns = 1.0, 5

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < (size := int(length[1]) if length else 0):
            return
        self._buffer = body[size:]
        asked = json.loads(body[:size])
        if "queries" in asked:
            self._send({"result": [_HITS[: asked["topk"]] for _ in asked["queries"]]})
        else:
            asyncio.get_running_loop().call_later(self.seconds, self._send, self._turn(asked["messages"]))

    def _turn(self, messages: list[Any]) -> dict[str, Any]:
        last = len(messages) // 2 + 1 >= self.turns
        said, tag = ("<answer>It is so", "</answer>") if last else (f"<search>part {len(messages)}", "</search>")
        choice = {"index": 0, "message": {"role": "assistant", "content": f"<think>{'why ' * 50}</think>{said}"}}
        usage = {"prompt_tokens": 500 * len(messages), "completion_tokens": 60}
        return {"choices": [choice | {"finish_reason": "stop", "stop_reason": tag}], "usage": usage}

    def _send(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def _serve(seconds: float, turns: int) -> None:
    _Server.seconds, _Server.turns = seconds, turns
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def measure(port: int, episodes: int, turns: int, at_once: int) -> dict[str, float]:
    """Wall and processor seconds of a whole run."""
    questions = [Question(f"q{n}", f"What came of matter number {n}?") for n in range(math.ceil(episodes / 5))]
    client = ChatClient(f"http://127.0.0.1:{port}/v1#scripted", concurrency=at_once)
    retriever = RetrieverClient(f"http://127.0.0.1:{port}")
    plan = RolloutPlan("search", 5, Limits(turns=turns), Sampling())
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), time.process_time()
        done = run_rollouts(questions, client, retriever, plan, Path(folder) / "rollouts.jsonl")
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        stops = dict(done.stops)
        asked = sum(len(each.turns) for each in done)
    client.close()
    retriever.close()
    if stops != {"answer": len(questions) * 5} or asked != len(questions) * 5 * turns:
        raise SystemExit(f"the episodes did not end as scripted: {stops}, {asked} turns")
    return {"episodes": len(questions) * 5, "seconds": wall, "cpu_seconds": cpu}


def main() -> None:
    """Measure and write."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--episodes", type=int, default=2560)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--serve", action="store_true", help="be the scripted server")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.seconds, options.turns))
        return
    made = study.begin(options)
    if options.smoke:
        options.episodes, options.in_flight, options.seconds = 100, 50, 0.05
    own = ["--serve", "--seconds", str(options.seconds), "--turns", str(options.turns)]
    rows = []
    with subprocess.Popen([sys.executable, __file__, *own], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            for share in (0.2, 1.0):
                row = measure(port, round(options.episodes * share), options.turns, options.in_flight)
                whole = options.turns * options.seconds
                ideal = row["episodes"] * whole / options.in_flight
                least = math.ceil(row["episodes"] / options.in_flight) * whole
                rows.append(row | {"ideal": max(ideal, whole), "least_in_order": least})
                print(rows[-1], flush=True)
        finally:
            server.terminate()
    table = [
        f"| {row['episodes']:,} | {row['ideal']:.1f} | {row['least_in_order']:.1f} | {row['seconds']:.1f} | "
        f"{row['seconds'] / row['ideal']:.2f} | {row['cpu_seconds']:.1f} |"
        for row in rows
    ]
    text = f"""# Seconds of many rollouts at once

Written by `eval/rollout_speed.py`, which says what is measured: {options.turns} turns of {options.seconds:g} s,
{options.in_flight:,} in flight, {options.turns - 1} searches an episode over HTTP. {study.made_by(made)}.

| episodes | ideal | least, begun in order | seconds | times the ideal | processor seconds of ours |
|---|---|---|---|---|---|
{chr(10).join(table)}
"""
    study.record(options, "rollout_speed", {"rows": rows, "settings": own, "environment": made}, text)


if __name__ == "__main__":
    main()
