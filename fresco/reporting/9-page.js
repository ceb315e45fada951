// The report of `fresco report`, section by section.

start(async ({ title, command, boards, runs, tunings, answers, searches, audits, chunk }) => {
  const fronts = boards.map((board) => against(board, runs)).filter(Boolean);
  const blind = boards.map((board) => blindOf(board, runs)).filter(Boolean);
  const more = (place) => unpack(`run-${place}`);
  const [aged, age] = runs.length ? oneRun("age", runs, async (place) => byAge(runs[place], (await more(place)).gaps)) : [];
  const [said, words] = runs.length ? oneRun("words", runs, async (place) => inWords(runs[place], (await more(place)).words)) : [];
  const [browsed, browser] = runs.length ? oneRun("failing", runs, async (place) => (boards[runs[place].board].why
    ? el("p", { class: "warn" }, foreign(boards[runs[place].board].why, 400)) : failures(runs[place], place, chunk))) : [];
  await Promise.all([aged, said, browsed]);
  return [
    el("header", {}, el("div", {}, el("h1", {}, foreign(title, 200)), command ? commands([command], "this page") : null), themeButton()),
    boards.length ? section("board", "Leaderboard", null, boards.map((board) => boardOf(board, runs))) : null,
    fronts.length ? section("front", "EK against NEK", "MAP on questions whose answer changed, against those whose answer did not; up and right is better. The larger a point, the more milliseconds a pair; hollow: not measured, all scores came out of the store.", fronts) : null,
    age ? section("age", "By age of the conflict", "Share of questions with an outdated passage on top, by how much older that passage is than the current one (newer: it is not); bars are 95 % intervals.", age) : null,
    words ? section("words", "Bias in words", "A regression over pairs of an outdated and a current passage, and the same texts under exchanged dates.", words) : null,
    blind.length ? section("blind", "Blind rules", "What is reached without reading any text: a figure near these is none of reading.", blind) : null,
    tunings.length ? section("cures", "Cures", "Priors, models and instructions over one re-ranker, on test queries that chose nothing; gains are paired with the base's. The larger a point, the more milliseconds a query; bars are 95 % intervals. “Newer on top” is how often the newer of two passages scores higher: a cure near 1 only sorts by date, as the control “newest” does.", tunings.map(tuningOf)) : null,
    answers.length ? section("answers", "What readers answer", "An answer is stale where it names a former value and not the current one. Controls: “(no passages)” is what the reader says by itself, “(positives only)” what it says where nothing outdated is shown.", answers.map(answersOf)) : null,
    searches.length ? section("searches", "Searches", "Instructions on the front of EK and NEK, proved on test queries that the search has not seen; bars are 95 % intervals.", searches.map(searchOf)) : null,
    audits.length ? section("audits", "Audits of benchmarks", "How far rules get that read nothing.", audits.map(auditOf)) : null,
    browser ? section("failures", "Failures", "The EK queries in which most outdated passages stand before the current one.", browser) : null,
  ];
});
