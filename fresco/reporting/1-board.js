// Leaderboards: one for all runs over the same content; and what belongs to one run, drawn when the run is chosen.

const LETTERS = {
  all: "re-rankers that share a letter cannot be told apart (paired randomization over all of them, Holm)",
  run: "re-rankers that share a letter cannot be told apart (paired randomization, Holm)",
  none: "too many to compare every pair; `fresco compare RUN RUN` gives letters for the ones that matter",
};
const madeBy = (runs, places) => commands(places.map((place) => runs[place].command));

const boardTable = (board, places) => {
  const lettered = board.headers.map((_, column) => board.rows.some((row) => row[column][1]));
  const rows = places.map((at) => [textCell(board.rerankers[at].label), ...board.rows[at].map(([text, letters], column) => {
    const value = Number.parseFloat(text);
    const cut = text.indexOf(" ");
    return { sort: Number.isNaN(value) ? null : value, nodes: [cut < 0 ? text : text.slice(0, cut),
      cut < 0 ? null : el("small", {}, text.slice(cut + 1)), lettered[column] ? el("i", {}, letters) : null] };
  }), { sort: board.rerankers[at].cost, nodes: [figure(board.rerankers[at].cost, 2)] }]);
  const headers = [{ lines: ["re-ranker"], up: true }, ...board.headers.map((each) => ({ lines: each.split("\n") })),
    { lines: ["milliseconds", "a pair"], up: true, title: "of the scores that the run computed; – where all came out of the store" }];
  return dataTable(headers, rows, { classes: (index) => (board.rerankers[places[index]].named ? "named" : null) });
};
const boardOf = (board, runs) => {
  const host = el("div");
  const draw = (text) => host.replaceChildren(boardTable(board, board.rerankers.map((_, at) => at)
    .filter((at) => !text || board.rerankers[at].label.toLowerCase().includes(text))));
  draw("");
  const notes = [...new Set(board.runs.flatMap((place) => runs[place].notes))];
  return el("div", {}, el("h3", {}, foreign(board.title, 160)), el("p", { class: "quiet" }, `Value and 95 % interval over ${board.unit}s; ${LETTERS[board.letters]}.`),
    board.rerankers.length > 20 ? el("div", { class: "bar" }, el("input", { type: "search", name: "names", placeholder: "find a re-ranker", "aria-label": "find a re-ranker",
      oninput: (event) => draw(event.target.value.toLowerCase()) })) : null, host,
    notes.length ? el("details", { open: notes.length < 4 }, el("summary", {}, plural(notes.length, "note")), el("ul", { class: "quiet" }, notes.map((each) => el("li", {}, foreign(each, 300))))) : null,
    madeBy(runs, board.runs));
};
const blindOf = (board, runs) => {
  const places = board.rerankers.map((_, at) => at).filter((at) => board.rerankers[at].blind);
  return places.length ? el("div", {}, el("h3", {}, foreign(board.title, 160)), boardTable(board, places), madeBy(runs, board.runs)) : null;
};

/** One run at a time: chosen by name, drawn when it is chosen. `draw(place)` may have to unpack first. */
const oneRun = (name, runs, draw) => {
  const host = el("div");
  const show = async (place) => {
    const drawn = await draw(Number(place));
    const run = runs[place];
    host.replaceChildren(el("h3", {}, foreign(`${run.name}: ${run.title}`, 160)), drawn, commands([run.command]));
  };
  const shown = show(0);
  return [shown, el("div", {}, runs.length > 1 ? el("div", { class: "bar" },
    choice(name, "run", runs.map((run, place) => [place, `${run.name}: ${run.named.join(", ") || run.title}`]), 0, show)) : null, host)];
};
