// A tuning: the front of EK, NEK and cost, the table of its rows on either part, and what was chosen for each cure.

const KINDS = [["base", 6], ["prior", 0], ["model", 2], ["instruction", 3], ["control", 1]];
const kindPlace = Object.fromEntries(KINDS);
const swatches = (list) => el("div", { class: "legend" }, list.map(([what, place]) => el("span", {},
  el("span", { class: "swatch", style: { background: typeof place === "string" ? place : colour(place) } }), ` ${what}`)));

const curesFront = (tuning) => {
  const shown = tuning.rows.filter((each) => each.ek && each.nek && each.ek.value !== null && each.nek.value !== null);
  const radius = radii(shown.map((each) => each.cost));
  const points = shown.map((each) => ({ name: each.name, place: kindPlace[each.kind], strong: each.on_front, hollow: each.kind === "control", size: radius(each.cost),
    x: each.nek.value, xlow: each.nek.ci_low, xhigh: each.nek.ci_high, y: each.ek.value, ylow: each.ek.ci_low, yhigh: each.ek.ci_high,
    title: `${brief(each.name, 80)}: EK ${figure(each.ek.value)} ${interval(each.ek.ci_low, each.ek.ci_high)}, NEK ${figure(each.nek.value)} ${interval(each.nek.ci_low, each.nek.ci_high)}, ${each.cost === null ? "cost not measured" : `${figure(each.cost, 2)} ms a query`}` }));
  const path = shown.filter((each) => each.on_front).map((each) => [each.nek.value, each.ek.value]).sort((a, b) => a[0] - b[0]);
  const present = KINDS.filter(([kind]) => shown.some((each) => each.kind === kind));
  return el("div", { class: "figure" }, swatches(present.map(([kind, place]) => [kind === "control" ? "control (hollow)" : kind, place])), scatter(points, { xlabel: "NEK MAP, test", ylabel: "EK MAP, test", path }));
};
const curesTable = (tuning, part) => dataTable(
  [{ lines: ["row"], up: true }, ...tuning.columns.map((title) => ({ lines: title.split(", ") })), { lines: ["ms a query"], up: true, title: "of the base and each model; + what a prior adds to the base" }, { lines: ["front"], text: true }],
  tuning.rows.map((row) => [{ ...textCell(row.name, 80), nodes: [foreign(row.name, 80), row.kind === "base" ? null : el("small", {}, row.kind)] }, ...row[part].map((own) => valueCell(own)),
    { sort: row.ms, nodes: [row.ms === null ? "–" : `${row.added ? "+" : ""}${figure(row.ms, 2)}`] },
    { sort: row.on_front ? 1 : 0, text: true, nodes: [row.on_front ? el("span", { class: "chip good" }, "on it") : ""] }]),
  { classes: (at) => (tuning.rows[at].on_front ? "named" : null) });
const gateCell = ([value, n]) => ({ sort: value, nodes: [figure(value), el("small", {}, value === null ? "" : `of ${n}`)] });
const tuningOf = (tuning) => {
  const host = el("div", { class: "rows" });
  const draw = (part) => host.replaceChildren(curesTable(tuning, part));
  draw("test");
  return el("div", { class: "tuning" }, el("h3", {}, foreign(`${tuning.name}: ${tuning.title}`, 160)), el("p", {}, foreign(tuning.verdict, 600)),
    curesFront(tuning),
    tuning.warnings.length ? el("ul", {}, tuning.warnings.map((each) => el("li", {}, foreign(each, 400)))) : null,
    el("div", { class: "bar" }, choice("part", "figures of", ["test", "validation"].map((part) => [part, `${part} (${plural(tuning.queries[part], "query", "queries")})`]), "test", draw)), host,
    el("details", {}, el("summary", {}, "what was chosen, and by which questions"),
      tuning.priors.length ? dataTable([{ lines: ["prior"], up: true }, { lines: ["chosen on validation"], text: true }, { lines: ["95 % interval of the choice"], text: true }],
        tuning.priors.map((each) => [textCell(each.name, 80), textCell(each.chosen), textCell(each.interval)]), { sortable: false }) : null,
      el("p", { class: "quiet" }, "exported: ", foreign(tuning.exported, 80), `; criterion: ${tuning.criterion}`),
      tuning.models.length ? dataTable([{ lines: ["model"], up: true }, { lines: ["loss"], text: true }, "seed", "steps", "chosen step"].map((each) => each.lines ? each : { lines: [each] }),
        tuning.models.map((each) => [textCell(each.name, 80), textCell(each.loss), ...["seed", "steps", "best step"].map((key) => ({ sort: each[key], nodes: [String(each[key])] }))])) : null,
      tuning.instructions.map(([name, text]) => [el("h3", {}, foreign(name, 80)), el("pre", { class: "foreign", dir: "auto" }, clean(text))]),
      tuning.gate.length ? dataTable([{ lines: ["the gate is right on"], up: true }, { lines: ["EK"] }, { lines: ["NEK"] }], tuning.gate.map(([part, ek, nek]) => [textCell(part), gateCell(ek), gateCell(nek)]), { sortable: false }) : null),
    commands([tuning.command]));
};
