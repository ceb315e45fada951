// The report of `fresco report`: leaderboard, EK against NEK, blind rules, failures.

const board = (run, only = null) => {
  const places = run.rerankers.map((_, at) => at).filter((at) => !only || only.includes(run.rerankers[at]));
  const lettered = run.headers.map((_, column) => run.rows.some((row) => row[column][1]));
  const rows = places.map((at) => [textCell(run.rerankers[at]), ...run.rows[at].map(([text, letters], column) => {
    const value = Number.parseFloat(text);
    const cut = text.indexOf(" ");
    return { sort: Number.isNaN(value) ? null : value, nodes: [cut < 0 ? text : text.slice(0, cut),
      cut < 0 ? null : el("small", {}, text.slice(cut + 1)), lettered[column] ? el("i", {}, letters) : null] };
  })]);
  return dataTable([{ lines: ["re-ranker"], up: true }, ...run.headers.map((each) => ({ lines: each.split("\n") }))], rows,
    { classes: (index) => (run.named.includes(run.rerankers[places[index]]) ? "named" : null) });
};
const withRuns = (runs, draw) => runs.map((run, at) => {
  const drawn = draw(run, at);
  return drawn && [el("h3", {}, foreign(`${run.name}: ${run.title}`, 160)), drawn, commands([run.command])];
});

const against = (runs) => {
  const points = [];
  runs.forEach((run, place) => run.points.forEach(({ ek, nek }, at) => {
    if (ek && nek) points.push({ name: run.rerankers[at], place, strong: run.named.includes(run.rerankers[at]),
      x: nek.value, xlow: nek.ci_low, xhigh: nek.ci_high, y: ek.value, ylow: ek.ci_low, yhigh: ek.ci_high });
  }));
  if (!points.length) return null;
  return section("front", "EK against NEK", "MAP on questions whose answer changed, against those whose answer did not; up and right is better.",
    el("div", { class: "figure" }, runs.length > 1 ? el("div", { class: "legend" }, runs.map((run, place) => el("span", {},
      el("span", { class: "swatch", style: { background: colour(place) } }), " ", foreign(run.name, 48)))) : null,
    scatter(points, { xlabel: "NEK MAP", ylabel: "EK MAP" })), commands(runs.map((run) => run.command)));
};

const byAge = (run) => {
  const names = Object.keys(run.gaps);
  const bins = [...new Set(names.flatMap((name) => run.gaps[name].map((point) => point.bin)))];
  if (!bins.length) return null;
  const series = names.map((name, place) => ({ name, place, strong: run.named.includes(name), points: run.gaps[name] }));
  return el("div", { class: "figure" }, el("div", { class: "legend" }, series.map((each) => el("span", {},
    el("span", { class: "swatch", style: { background: colour(each.place) } }), " ", foreign(each.name, 48)))),
  lines(series, bins, { xlabel: "how much older the newest outdated passage is", ylabel: "outdated on top" }));
};
const inWords = (run) => {
  const told = run.rerankers.filter((name) => run.words[name].length);
  return told.length ? el("div", {}, told.map((name) => el("details", { open: name === run.best }, el("summary", {}, foreign(name, 120)),
    el("ul", {}, run.words[name].map((line) => el("li", {}, clean(line.replace(/^\s*-\s*/, "")))))))) : null;
};

const pair = (data, query, name) => {
  const scores = query.by[name]?.scores ?? [];
  const best = (label) => query.passages.map((_, at) => at).filter((at) => query.labels[at] === label)
    .sort((a, b) => (scores[b] ?? -Infinity) - (scores[a] ?? -Infinity) || a - b)[0];
  const [old, current] = [best("outdated"), best("positive")].map((at) => (at === undefined ? null : data.passages[query.passages[at]]));
  if (!old || !current) return null;
  const [left, right] = changed(old.body, current.body);
  const shown = (what, passage, nodes) => el("div", { class: "figure" }, el("strong", { class: what === "current" ? "good" : "bad" }, `${what}, ${passage.date}`),
    el("p", { class: "quiet" }, foreign([passage.title, passage.section].filter(Boolean).join(" / "), 160)),
    el("div", { class: "passage foreign", dir: "auto" }, nodes));
  return el("div", { class: "two" }, shown("outdated", old, left), shown("current", current, right));
};
const timeline = (data, query, names) => {
  const order = query.passages.map((_, at) => at).sort((a, b) => data.passages[query.passages[a]].date.localeCompare(data.passages[query.passages[b]].date) || a - b);
  return dataTable([{ lines: ["date"], up: true }, { lines: ["label"], text: true }, { lines: ["passage"], text: true }, ...names.map((name) => brief(name, 32))], order.map((at) => {
    const [passage, label] = [data.passages[query.passages[at]], query.labels[at]];
    return [textCell(passage.date), { sort: label, text: true, nodes: [el("span", { class: `chip ${label === "positive" ? "good" : label === "outdated" ? "bad" : "quiet"}` }, label)] },
      textCell([passage.title, passage.section].filter(Boolean).join(" / "), 80),
      ...names.map((name) => { const score = query.by[name]?.scores[at] ?? null; return { sort: score, nodes: [figure(score)] }; })];
  }));
};
const failure = (data, query, names) => {
  const own = query.by[names[0]];
  const body = el("div", { class: "body", hidden: true });
  const head = el("button", { type: "button", "aria-expanded": "false", onclick: () => {
    if (body.hidden && !body.childNodes.length) body.append(el("p", { class: "quiet" }, "answer: ", foreign(query.answer || "unknown", 200)),
      pair(data, query, names[0]) ?? "", timeline(data, query, names));
    body.hidden = !body.hidden;
    head.setAttribute("aria-expanded", String(!body.hidden));
  } }, el("span", {}, foreign(query.text, 220), el("br"), el("small", { class: "quiet" }, query.date, " · ", foreign(query.relation, 60))),
  el("span", { class: "right" }, `current passage at ${figure(own.rank, 0)}`, el("span", { class: "quiet" }, `first: ${own.top}`)));
  return el("div", { class: "item" }, head, body);
};
const browser = (run, data) => {
  const [host, count, controls] = [el("div", { class: "failures" }), el("p", { class: "quiet" }), el("div", { class: "bar" })];
  const state = { name: run.best, second: "", relation: "", text: "" };
  const fill = () => {
    const own = data.queries.filter((query) => query.by[state.name]);
    own.sort((a, b) => (a.by[state.name].wins ?? 2) - (b.by[state.name].wins ?? 2) || (b.by[state.name].rank ?? 0) - (a.by[state.name].rank ?? 0));
    const found = own.slice(0, data.worst).filter((query) => (!state.relation || query.relation === state.relation)
      && (!state.text || `${query.text} ${query.answer} ${query.subject}`.toLowerCase().includes(state.text)));
    count.textContent = plural(found.length, "query", "queries");
    const names = [state.name, state.second].filter((each, at, all) => each && all.indexOf(each) === at);
    listing(host, found.length, (at) => failure(data, found[at], names));
  };
  const set = (key) => (value) => { state[key] = value; fill(); };
  const relations = [...new Set(data.queries.map((query) => query.relation))].filter(Boolean).sort();
  controls.append(choice("reranker", "re-ranker", run.rerankers.map((each) => [each, each]), state.name, set("name")),
    choice("second", "beside", [["", "none"], ...run.rerankers.map((each) => [each, each])], "", set("second")),
    choice("relation", "relation", [["", "all"], ...relations.map((each) => [each, each])], "", set("relation")),
    el("input", { type: "search", placeholder: "search", "aria-label": "search", oninput: (event) => set("text")(event.target.value.toLowerCase()) }));
  fill();
  return el("div", {}, controls, count, host);
};

start(async ({ title, runs }) => {
  const failures = await Promise.all(runs.map(async (run) => (run.block ? browser(run, await unpack(run.block)) : el("p", { class: "warn" }, foreign(run.why, 400)))));
  const blind = runs.filter((run) => run.blind.length);
  const aged = runs.filter((run) => Object.keys(run.gaps).length);
  const worded = runs.filter((run) => run.rerankers.some((name) => run.words[name].length));
  return [
    el("header", {}, el("h1", {}, foreign(title, 200)), themeButton()),
    section("board", "Leaderboard", "Value and 95 % interval over subjects; re-rankers that share a letter cannot be told apart within their run.",
      withRuns(runs, (run) => [board(run), run.notes.length ? el("ul", { class: "quiet" }, run.notes.map((each) => el("li", {}, foreign(each, 300)))) : null])),
    against(runs),
    aged.length ? section("age", "By age of the conflict", "Share of questions with an outdated passage on top, by how much older that passage is than the current one (newer: it is not); bars are 95 % intervals.",
      withRuns(aged, byAge)) : null,
    worded.length ? section("words", "Bias in words", "A regression over pairs of an outdated and a current passage, and the same texts under exchanged dates.", withRuns(worded, inWords)) : null,
    blind.length ? section("blind", "Blind rules", "What is reached without reading any text: a figure near these is none of reading.", withRuns(blind, (run) => board(run, run.blind))) : null,
    section("failures", "Failures", "The EK queries in which most outdated passages stand before the current one.", withRuns(runs, (_, at) => failures[at])),
  ];
});
