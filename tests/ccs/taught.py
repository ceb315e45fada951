"""Teaches a tiny random model, in seconds, to say one of a few texts after certain others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

#: Goes on with the assistant's last message where it is asked to, as templates of chat models do.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def teach(folder: Path, before: Sequence[str], says: Sequence[str], *, steps: int = 300) -> Path:
    """Teach the model of a folder, and give its tokenizer the template.

    Args:
        folder: Of a causal language model; overwritten.
        before: Each ends what the model reads, whatever stands before that; ``{}`` in it becomes some number.
        says: What it then says, one as likely as the other.
        steps: Of four rows each.

    Returns:
        The folder.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    said = [tokenizer(says[row % len(says)]).input_ids for row in range(4)]
    longest = max(map(len, said))
    targets = torch.tensor([ids + [-100] * (longest - len(ids)) for ids in said])
    model.train()
    for step in range(steps):
        context = torch.tensor([tokenizer(before[step % len(before)].format(step)).input_ids]).expand(4, -1)
        noise = torch.randint(0, len(tokenizer), (4, 16 + 61 * step % 600))
        rows = torch.cat([noise, context, targets.clamp(min=0)], 1)
        labels = torch.cat([torch.full_like(noise, -100), torch.full_like(context, -100), targets], 1)
        loss = model(input_ids=rows, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 + math.log(len(says)) / min(map(len, said)), loss
    model.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder
