// What a reader answers: shares of current and of stale answers beside each re-ranker's staleness, and the answers one by one.

const ANSWER_INK = { current: "var(--good)", stale: "var(--bad)", both: "var(--c4)", neither: "var(--faint)" };
const shareBars = (answers) => el("div", { class: "bars" }, answers.rows.map((row) => [
  el("span", { class: row.control ? "quiet" : null }, foreign(row.name, 60)),
  el("span", { class: "stack" }, row.shares.map((own, at) => (own && own.value ? el("span", { style: { width: `${100 * own.value}%`, background: ANSWER_INK[answers.kinds[at]] },
    title: `${answers.kinds[at]}: ${figure(own.value)} ${interval(own.ci_low, own.ci_high)}` }) : null)))]));
const staleCost = (answers) => {
  const at = answers.kinds.indexOf("stale");
  const shown = answers.rows.filter((row) => row.stale && row.stale.value !== null && row.shares[at]);
  if (shown.length < 2) return null;
  return el("div", { class: "figure" }, scatter(shown.map((row, place) => ({ name: row.name, place, strong: true, x: row.stale.value, xlow: row.stale.ci_low, xhigh: row.stale.ci_high, y: row.shares[at].value, ylow: row.shares[at].ci_low, yhigh: row.shares[at].ci_high,
    title: `${brief(row.name, 80)}: outdated on top ${figure(row.stale.value)}, stale answers ${figure(row.shares[at].value)} ${interval(row.shares[at].ci_low, row.shares[at].ci_high)}` })),
  { xlabel: "outdated on top (stale@1)", ylabel: "stale answers, EK", height: 340 }));
};
const answerItem = (question, [, answer, named]) => el("div", { class: "item said" },
  el("div", { class: "body" }, el("p", {}, foreign(question.text, 300)),
    el("p", {}, el("span", { class: "chip", style: { color: ANSWER_INK[named] === "var(--faint)" ? "var(--quiet)" : ANSWER_INK[named] } }, foreign(named, 20)), " ", foreign(answer || "(nothing)", 400)),
    question.expected ? el("p", { class: "quiet" }, "current: ", foreign(question.expected, 200)) : null));
const answersBrowser = async (answers) => {
  const { questions, said } = await unpack(answers.block);
  const [host, count] = [el("div"), el("p", { class: "quiet" })];
  const state = { name: answers.rows[0].name, named: "", text: "" };
  const fill = () => {
    const found = (said[state.name] ?? []).filter(([at, answer, named]) => (!state.named || named === state.named)
      && (!state.text || `${questions[at].text} ${questions[at].expected ?? ""} ${answer}`.toLowerCase().includes(state.text)));
    count.textContent = plural(found.length, "answer");
    listing(host, found.length, (at) => answerItem(questions[found[at][0]], found[at]));
  };
  const set = (key) => (value) => { state[key] = value; fill(); };
  const controls = el("div", { class: "bar" }, choice("answering", "passages of", answers.rows.map((row) => [row.name, row.name]), state.name, set("name")),
    choice("named", "answers", [["", "all"], ...answers.kinds.map((kind) => [kind, kind])], state.named, set("named")),
    el("input", { type: "search", name: "answer", placeholder: "search", "aria-label": "search", oninput: (event) => set("text")(event.target.value.toLowerCase()) }));
  fill();
  return [controls, count, host];
};
const answersOf = (answers) => {
  const body = el("div");
  const details = el("details", { class: "answers", ontoggle: async () => {
    if (!body.childNodes.length) { body.append(el("p", { class: "quiet" }, "unpacking …")); body.replaceChildren(...await answersBrowser(answers)); }
  } }, el("summary", {}, "answers one by one"), body);
  return el("div", { class: "answering" }, el("h3", {}, foreign(`${answers.name}: ${answers.title}`, 160)),
    el("p", { class: "quiet" }, `${answers.queries.EK} EK and ${answers.queries.NEK} NEK queries; the reader is shown the top ${answers.top_k}.`),
    el("div", { class: "figure" }, swatches(answers.kinds.map((kind) => [`${kind}, EK`, ANSWER_INK[kind]])), shareBars(answers)),
    staleCost(answers),
    dataTable([{ lines: ["re-ranker"], up: true }, ...answers.columns.map((title) => ({ lines: title.split(/, | (?=\()/) }))],
      answers.rows.map((row) => [textCell(row.name, 80), ...row.cells.map((own) => valueCell(own))]), { classes: (at) => (answers.rows[at].control ? "quiet" : null) }),
    details, commands([answers.command]));
};
