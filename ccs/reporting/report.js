// The report of `ccs report`: trajectories turn by turn, rewards with their parts, audits, curves.

const tagged = (turn) => (turn.query !== null ? ["agent", "search"] : turn.answer !== null ? ["agent", "answer"] : ["agent", "no action"]);
const oneTurn = (turn, number) => {
  const [kind, what] = tagged(turn);
  const cost = [turn.tokens[1] === null ? null : plural(turn.tokens[1], "token"), turn.seconds[0] ? `${figure(turn.seconds[0], 2)} s` : null].filter(Boolean).join(", ");
  return el("div", {}, el("div", { class: `turn ${kind}` },
    el("p", { class: "quiet" }, `turn ${number + 1}: ${what}${cost ? ` (${cost})` : ""}`, " ", turn.fault ? el("span", { class: "chip bad" }, clean(turn.fault)) : null),
    turn.query !== null ? el("p", {}, "asked ", el("strong", {}, foreign(turn.query, 400)), turn.masked !== null ? ["; a reward reads ", el("span", { class: "masked" }, foreign(turn.masked, 400))] : null) : null,
    turn.answer !== null ? el("p", {}, "answered ", el("strong", {}, foreign(turn.answer, 400))) : null,
    el("details", {}, el("summary", {}, "what the model wrote"), el("pre", { class: "foreign", dir: "auto" }, clean(turn.text)))),
  turn.hits.length ? el("div", { class: "turn tool" }, el("p", { class: "quiet" }, plural(turn.hits.length, "passage")),
    turn.hits.map((hit) => el("details", {}, el("summary", {}, `${figure(hit.score)} `, foreign(hit.text.replace(/\n/g, ": "), 110)), el("div", { class: "passage foreign", dir: "auto" }, clean(hit.text))))) : null);
};
/** A reward with its parts (log-probabilities among them) and the texts that it was made of. */
const earned = (rewards, seen, question) => rewards.map((each, at) => {
  const { trace, reconstruction } = seen[at] ?? {};
  const parts = Object.entries(each.parts);
  return el("div", { class: "turn reward" },
    el("p", {}, "reward ", el("strong", {}, figure(each.value)), " ", el("span", { class: "quiet" }, foreign(each.name, 160)), each.cause ? el("span", { class: "warn" }, foreign(each.cause, 300)) : null),
    parts.length ? el("div", { class: "parts" }, dataTable([{ lines: ["part"], up: true }, { lines: ["value"], title: "log-probabilities in nats a token" }], parts.map(([name, value]) => [textCell(name, 60), { sort: value, nodes: [figure(value)] }]), { sortable: false })) : null,
    reconstruction ? reconstruction.split("\n").map((line) => el("p", { class: "reconstruction" }, "reconstructed ", el("span", { class: "passage foreign", dir: "auto" }, changed(question, line)[1]))) : null,
    trace ? el("details", {}, el("summary", {}, "what the reward reads"), el("pre", { class: "foreign", dir: "auto" }, clean(trace))) : null);
});

const trajectory = (file, place, at) => {
  const row = file.rows[at];
  const body = el("div", { class: "body", hidden: true });
  const head = el("button", { type: "button", "aria-expanded": "false", onclick: async () => {
    if (!body.childNodes.length) {
      body.append(el("p", { class: "quiet" }, "unpacking …"));
      const [turns, seen] = (await Promise.all(["turns", "seen"].map((what) => unpack(`${what}-${place}-${Math.floor(at / file.chunk)}`)))).map((part) => part[at % file.chunk]);
      body.replaceChildren(row.error ? el("p", { class: "warn" }, foreign(row.error, 400)) : "", ...turns.map(oneTurn), ...earned(row.rewards, seen, row.question));
    }
    body.hidden = !body.hidden;
    head.setAttribute("aria-expanded", String(!body.hidden));
  } }, el("span", {}, foreign(row.question, 220), el("br"), el("small", { class: "quiet" }, foreign(row.id, 60), ` · sample ${row.sample} · ${plural(row.searches, "search", "searches")}${row.faults ? ` · ${plural(row.faults, "malformed turn")}` : ""}`)),
  el("span", { class: "right" }, row.answer === null ? el("span", { class: "bad" }, `no answer: ${row.stop}`) : foreign(row.answer, 60),
    row.rewards.map((each) => el("span", { class: "quiet" }, `reward ${figure(each.value)}`))));
  return el("div", { class: "item" }, head, body);
};
const ORDERS = { "as in the file": null, "best reward": (row) => -(row.rewards[0]?.value ?? -Infinity), "worst reward": (row) => row.rewards[0]?.value ?? Infinity, "most searches": (row) => -row.searches, "most malformed": (row) => -row.faults };
const browser = (file, place) => {
  const [host, count] = [el("div"), el("p", { class: "quiet" })];
  const state = { stop: "", order: "as in the file", text: "" };
  const fill = () => {
    const found = file.rows.map((_, at) => at).filter((at) => (!state.stop || file.rows[at].stop === state.stop)
      && (!state.text || `${file.rows[at].question} ${file.rows[at].answer ?? ""} ${file.rows[at].id}`.toLowerCase().includes(state.text)));
    const key = ORDERS[state.order];
    if (key) { const keys = file.rows.map(key); found.sort((a, b) => keys[a] - keys[b] || a - b); }
    count.textContent = plural(found.length, "trajectory", "trajectories");
    listing(host, found.length, (at) => trajectory(file, place, found[at]));
  };
  const set = (name) => (value) => { state[name] = value; fill(); };
  const stops = [...new Set(file.rows.map((row) => row.stop))].sort();
  fill();
  return el("div", {}, el("h3", {}, foreign(file.name, 160)), el("div", { class: "bar" },
    choice("order", "order", Object.keys(ORDERS).map((each) => [each, each]), state.order, set("order")),
    choice("stop", "ended by", [["", "anything"], ...stops.map((each) => [each, each])], "", set("stop")),
    el("input", { type: "search", placeholder: "search", "aria-label": "search", oninput: (event) => set("text")(event.target.value.toLowerCase()) })), count, host);
};

const audit = (each) => {
  const row = (own) => [textCell(own.name, 60), valueCell({ ...own, ci_low: own.low, ci_high: own.high }), textCell(own.what, 200)];
  const heads = [{ lines: ["figure"], up: true }, { lines: ["value"] }, { lines: ["what"], text: true }];
  return el("div", {}, el("h3", {}, foreign(each.name, 160)), el("p", {}, el("strong", {}, foreign(each.verdict, 600)), el("br"), el("span", { class: "quiet" }, foreign(each.reward, 200))),
    el("ul", {}, each.checks.map((check) => el("li", {}, clean(`${check.name}: ${check.grade}. ${check.words}`)))),
    dataTable(heads, each.figures.map(row)), each.cheats.length ? [el("h3", {}, "what cheats gain"), dataTable(heads, each.cheats.map(row))] : null);
};

const curve = (name, sources) => {
  const series = Object.entries(sources).map(([source, points]) => ({ name: source === "steps" ? "while training" : "held out", place: source === "steps" ? 0 : 1, strong: source !== "steps", points }));
  return el("div", { class: "figure" }, el("div", { class: "legend" }, Object.keys(sources).map((source) => el("span", {}, el("span", { class: "swatch", style: { background: colour(source === "steps" ? 0 : 1) } }), source === "steps" ? " while training" : " held out"))), curves(series, { xlabel: "step", ylabel: brief(name, 40), whole: true }));
};
const training = (each) => {
  const names = Object.keys(each.curves);
  if (!names.length) return el("p", { class: "warn" }, "no step was recorded");
  const host = el("div");
  const show = (name) => host.replaceChildren(curve(name, each.curves[name]));
  show(names[0]);
  return el("div", {}, el("h3", {}, foreign(each.name, 160)), el("div", { class: "bar" }, choice("curve", "curve", names.map((name) => [name, name]), names[0], show)), host,
    each.card ? el("details", {}, el("summary", {}, "card"), el("pre", { class: "foreign", dir: "auto" }, clean(each.card))) : null);
};

start(async ({ title, command, masked, rollouts, audits, trainings }) => [
  el("header", {}, el("h1", {}, title), themeButton()),
  trainings.length ? section("training", "Training", "What each step saw, and the held-out questions beside it.", trainings.map(training), commands([command])) : null,
  audits.length ? section("audits", "Audits", "Does the reward measure what it should? Value and 95 % interval over questions.", audits.map(audit), commands([command])) : null,
  rollouts.length ? section("trajectories", "Trajectories", masked ? "Turn by turn; marked is what a reward reads in the place of the query." : "Turn by turn.", rollouts.map(browser), commands([command])) : null,
]);
