// Figures: EK against NEK with cost as size, staleness by age, bias in words.

/** Radius of a point: the area grows with the logarithm of the cost, from the cheapest to the dearest. */
const radii = (costs) => {
  const known = costs.filter((each) => each !== null && each > 0).map(Math.log10);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return (cost) => (cost === null || cost <= 0 || !known.length ? 4 : Math.sqrt(16 + (high > low ? (Math.log10(cost) - low) / (high - low) : 0) * 128));
};
const against = (board, runs) => {
  const shown = board.rerankers.filter((each) => each.ek && each.nek);
  if (!shown.length) return null;
  const radius = radii(shown.map((each) => each.cost));
  const many = board.runs.length > 8;
  const points = shown.map((each) => ({ name: each.label, place: many ? Number(each.named) : board.runs.indexOf(each.run), strong: each.named, faint: many && !each.named, hollow: each.cost === null,
    size: radius(each.cost), x: each.nek.value, xlow: many ? null : each.nek.ci_low, xhigh: each.nek.ci_high, y: each.ek.value, ylow: many ? null : each.ek.ci_low, yhigh: each.ek.ci_high,
    title: `${brief(each.label, 80)}: EK ${figure(each.ek.value)} ${interval(each.ek.ci_low, each.ek.ci_high)}, NEK ${figure(each.nek.value)} ${interval(each.nek.ci_low, each.nek.ci_high)}, ${each.cost === null ? "cost not measured" : `${figure(each.cost, 2)} ms a pair`}` }));
  return el("div", {}, el("h3", {}, foreign(board.title, 160)), el("div", { class: "figure" },
    board.runs.length > 1 && !many ? el("div", { class: "legend" }, board.runs.map((place, at) => el("span", {},
      el("span", { class: "swatch", style: { background: colour(at) } }), " ", foreign(runs[place].name, 48)))) : null,
    scatter(points, { xlabel: "NEK MAP", ylabel: "EK MAP" })), madeBy(runs, board.runs));
};

const byAge = (run, gaps) => {
  const names = Object.keys(gaps);
  const bins = [...new Set(names.flatMap((name) => gaps[name].map((point) => point.bin)))];
  if (!bins.length) return el("p", { class: "quiet" }, "no question of this run has an outdated passage");
  const series = names.map((name, place) => ({ name, place, strong: run.named.includes(name), points: gaps[name] }));
  return el("div", { class: "figure" }, el("div", { class: "legend" }, series.map((each) => el("span", {},
    el("span", { class: "swatch", style: { background: colour(each.place) } }), " ", foreign(each.name, 48)))),
  lines(series, bins, { xlabel: "how much older the newest outdated passage is", ylabel: "outdated on top" }));
};
const inWords = (run, words) => {
  const told = run.rerankers.filter((name) => words[name].length);
  return told.length ? el("div", {}, told.map((name) => el("details", { open: name === run.best }, el("summary", {}, foreign(name, 120)),
    el("ul", {}, words[name].map((line) => el("li", { class: /^\s*-/.test(line) ? "sub" : null }, clean(line.replace(/^\s*-\s*/, ""))))))))
    : el("p", { class: "quiet" }, "nothing to say of this run");
};
