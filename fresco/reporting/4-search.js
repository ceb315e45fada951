// A search: its front, and each instruction with its text, its figures and its ancestors; and audits of benchmarks.

const bounds = (own) => ({ value: own.value, ci_low: own.ci_low, ci_high: own.ci_high });
const ancestry = (lineage) => lineage.map((entry) => {
  const parents = lineage.filter((each) => each.seed === entry.seed && entry.parents?.includes(each.trial));
  const said = changed(parents[0]?.text ?? "", entry.text ?? "")[1];
  const from = parents.length ? ` out of ${parents.map((each) => `trial ${each.trial}`).join(" and ")}` : "";
  return el("div", { class: "turn agent" }, el("p", { class: "quiet" }, `seed ${entry.seed}, round ${entry.round}, trial ${entry.trial}: ${clean(entry.operator)}${from}`),
    el("div", { class: "passage foreign", dir: "auto" }, parents.length ? said : clean(entry.text ?? "the model's own instruction")));
});
const FIGURES = ["EK", "NEK", "EK gain", "NEK gain"];
const member = (search, at) => {
  const own = search.members[at];
  const body = el("div", { class: "body", hidden: true });
  const open = async () => {
    const lineage = (await unpack(search.block))[at];
    body.replaceChildren(el("pre", { class: "foreign", dir: "auto" }, clean(own.text ?? (own.kind === "base" ? search.default ?? "the model's own instruction" : "a rule over the scores, no instruction"))),
      dataTable([{ lines: ["part"], up: true }, ...FIGURES], ["validation", "test"].map((part) => [textCell(part), ...FIGURES.map((name) => valueCell(own[part][name]))]), { sortable: false }),
      ...(lineage.length ? [el("h3", {}, "where it comes from"), ...ancestry(lineage)] : []));
  };
  const head = el("button", { type: "button", "aria-expanded": "false", onclick: async () => {
    if (!body.childNodes.length) await open();
    body.hidden = !body.hidden;
    head.setAttribute("aria-expanded", String(!body.hidden));
  } }, el("span", {}, el("strong", {}, foreign(own.id, 60)), own.on_front ? [" ", el("span", { class: "chip good" }, "on the front")] : null, el("br"),
    foreign(own.text ?? own.kind, 220)),
  el("span", { class: "right" }, `EK ${figure(own.test.EK.value)} ${interval(own.test.EK.ci_low, own.test.EK.ci_high)}`,
    el("span", { class: "quiet" }, `NEK ${figure(own.test.NEK.value)} ${interval(own.test.NEK.ci_low, own.test.NEK.ci_high)}`)));
  return el("div", { class: "item" }, head, body);
};
const frontOf = (search) => {
  const shown = search.members.filter((each) => each.test.EK.value !== null && each.test.NEK.value !== null);
  const points = shown.map((each) => ({ name: each.id, place: { base: 6, baseline: 1, instruction: 0 }[each.kind], strong: each.on_front, faint: !each.on_front && each.kind === "instruction", hollow: each.kind === "baseline",
    x: each.test.NEK.value, xlow: each.on_front ? each.test.NEK.ci_low : null, xhigh: each.test.NEK.ci_high, y: each.test.EK.value, ylow: each.on_front ? each.test.EK.ci_low : null, yhigh: each.test.EK.ci_high,
    title: `${brief(each.id, 60)}: EK ${figure(each.test.EK.value)}, NEK ${figure(each.test.NEK.value)}; ${brief(each.text ?? each.kind, 160)}` }));
  const path = shown.filter((each) => each.on_front).map((each) => [each.test.NEK.value, each.test.EK.value]).sort((a, b) => a[0] - b[0]);
  return scatter(points, { xlabel: "NEK MAP, test", ylabel: "EK MAP, test", path });
};
const searchOf = (search) => {
  const host = el("div");
  const state = { text: "", front: "front" };
  const fill = () => {
    const found = search.members.map((_, at) => at).filter((at) => (state.front === "all" || search.members[at].on_front || search.members[at].kind !== "instruction")
      && (!state.text || `${search.members[at].id} ${search.members[at].text ?? ""}`.toLowerCase().includes(state.text)));
    listing(host, found.length, (place) => member(search, found[place]));
  };
  fill();
  const grown = search.hypervolume.filter((own) => own.points.length > 1);
  return el("div", {}, el("h3", {}, foreign(`${search.name}: ${search.title}`, 160)),
    el("div", { class: "figure" }, el("div", { class: "legend" }, [["instruction", 0], ["base", 6], ["baseline (not an instruction)", 1]].map(([what, place]) => el("span", {}, el("span", { class: "swatch", style: { background: colour(place) } }), ` ${what}`))), frontOf(search)),
    search.warnings.length ? el("ul", {}, search.warnings.map((each) => el("li", {}, foreign(each, 400)))) : null,
    grown.length ? el("div", { class: "figure" }, curves(grown.map((own, place) => ({ name: `seed ${own.seed}`, place, points: own.points })), { xlabel: "round", ylabel: "hypervolume", whole: true })) : null,
    el("div", { class: "bar" }, choice("front", "shown", [["front", "the front, the base, baselines"], ["all", "every instruction that was proved"]], "front", (value) => { state.front = value; fill(); }),
      el("input", { type: "search", name: "instruction", placeholder: "search", "aria-label": "search", oninput: (event) => { state.text = event.target.value.toLowerCase(); fill(); } })),
    host, commands([search.command]));
};

const auditOf = (audit) => {
  const cell = (text) => {
    const [value, cut] = [Number.parseFloat(text), text.indexOf(" ")];
    return { sort: Number.isNaN(value) ? null : value, nodes: [cut < 0 ? text : text.slice(0, cut), cut < 0 ? null : el("small", {}, text.slice(cut + 1))] };
  };
  const heads = audit.header.map((name, at) => ({ lines: [name], up: !at, text: at === 1 }));
  return el("div", {}, el("h3", {}, foreign(audit.title, 160)), el("ul", {}, audit.verdict.map((line) => el("li", {}, foreign(line, 400)))),
    dataTable(heads, audit.rows.map((row) => row.map((text, at) => (at < 2 ? textCell(text) : cell(text))))),
    el("details", {}, el("summary", {}, "counts"), dataTable([{ lines: ["figure"], up: true }, { lines: ["what"], text: true }, { lines: ["value"] }],
      audit.figures.map(([name, what, value]) => [textCell(name), textCell(what, 200), { ...cell(value), nodes: [clean(value)] }])), el("p", { class: "quiet" }, "tokens counted by ", foreign(audit.counted, 120))),
    commands([audit.command]));
};
