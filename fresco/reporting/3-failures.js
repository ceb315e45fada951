// The failure browser: the worst queries of a re-ranker; texts and scores are unpacked when a query is opened.

const pair = (data, pool, scores) => {
  const best = (label) => pool.passages.map((_, at) => at).filter((at) => pool.labels[at] === label)
    .sort((a, b) => (scores[b] ?? -Infinity) - (scores[a] ?? -Infinity) || a - b)[0];
  const [old, current] = [best("outdated"), best("positive")].map((at) => (at === undefined ? null : data.passages[pool.passages[at]]));
  if (!old || !current) return null;
  const [left, right] = changed(old.body, current.body);
  const shown = (what, passage, nodes) => el("div", { class: "figure" }, el("strong", { class: what === "current" ? "good" : "bad" }, `${what}, ${passage.date}`),
    el("p", { class: "quiet" }, foreign([passage.title, passage.section].filter(Boolean).join(" / "), 160)),
    el("div", { class: "passage foreign", dir: "auto" }, nodes));
  return el("div", { class: "two" }, shown("outdated", old, left), shown("current", current, right));
};
const timeline = (data, pool, scored) => {
  const order = pool.passages.map((_, at) => at).sort((a, b) => data.passages[pool.passages[a]].date.localeCompare(data.passages[pool.passages[b]].date) || a - b);
  return dataTable([{ lines: ["date"], up: true }, { lines: ["label"], text: true }, { lines: ["passage"], text: true }, ...scored.map(([name]) => brief(name, 32))], order.map((at) => {
    const [passage, label] = [data.passages[pool.passages[at]], pool.labels[at]];
    return [textCell(passage.date), { sort: label, text: true, nodes: [el("span", { class: `chip ${label === "positive" ? "good" : label === "outdated" ? "bad" : "quiet"}` }, label)] },
      textCell([passage.title, passage.section].filter(Boolean).join(" / "), 80),
      ...scored.map(([, scores]) => { const score = scores?.[at] ?? null; return { sort: score, nodes: [figure(score)] }; })];
  }));
};
const failure = (where, query, own, names) => {
  const body = el("div", { class: "body", hidden: true });
  const fill = async () => {
    const chunk = Math.floor(own.at / where.chunk);
    const [data, scores] = await Promise.all([unpack(`pools-${where.board}-${chunk}`), unpack(`scores-${where.run}-${chunk}`)]);
    const pool = data.pools[own.at % where.chunk];
    const scored = names.map((name) => [name, scores[name]?.[own.at]]);
    body.replaceChildren(el("p", { class: "quiet" }, "answer: ", foreign(query.answer || "unknown", 200)), pair(data, pool, scored[0][1] ?? []) ?? "", timeline(data, pool, scored));
  };
  const head = el("button", { type: "button", "aria-expanded": "false", onclick: async () => {
    if (!body.childNodes.length) { body.append(el("p", { class: "quiet" }, "unpacking …")); await fill(); }
    body.hidden = !body.hidden;
    head.setAttribute("aria-expanded", String(!body.hidden));
  } }, el("span", {}, foreign(query.text, 220), el("br"), el("small", { class: "quiet" }, query.date, " · ", foreign(query.relation, 60))),
  el("span", { class: "right" }, `current passage at ${figure(own.rank, 0)}`, el("span", { class: "quiet" }, `first: ${own.top}`)));
  return el("div", { class: "item" }, head, body);
};
const failures = async (run, place, chunk) => {
  const [queries, lists] = await Promise.all([unpack(`queries-${run.board}`), unpack(`failures-${place}`)]);
  const [host, count, controls] = [el("div", { class: "failures" }), el("p", { class: "quiet" }), el("div", { class: "bar" })];
  const state = { name: run.best, second: "", relation: "", text: "" };
  const fill = () => {
    const list = lists[state.name] ?? { at: [] };
    const found = list.at.map((at, index) => ({ at, rank: list.rank[index], top: list.top[index] })).filter(({ at }) => (!state.relation || queries[at].relation === state.relation)
      && (!state.text || `${queries[at].text} ${queries[at].answer} ${queries[at].subject}`.toLowerCase().includes(state.text)));
    count.textContent = plural(found.length, "query", "queries");
    const names = [state.name, state.second].filter((each, at, all) => each && all.indexOf(each) === at);
    listing(host, found.length, (at) => failure({ board: run.board, run: place, chunk }, queries[found[at].at], found[at], names));
  };
  const set = (key) => (value) => { state[key] = value; fill(); };
  const relations = [...new Set(Object.values(lists).flatMap((list) => list.at).map((at) => queries[at].relation))].filter(Boolean).sort();
  controls.append(choice("reranker", "re-ranker", run.rerankers.map((each) => [each, each]), state.name, set("name")),
    choice("second", "beside", [["", "none"], ...run.rerankers.map((each) => [each, each])], "", set("second")),
    choice("relation", "relation", [["", "all"], ...relations.map((each) => [each, each])], "", set("relation")),
    el("input", { type: "search", name: "query", placeholder: "search", "aria-label": "search", oninput: (event) => set("text")(event.target.value.toLowerCase()) }));
  fill();
  return el("div", {}, controls, count, host);
};
