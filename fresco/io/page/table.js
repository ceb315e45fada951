// A table whose columns sort, its rows drawn some at a time. A cell is {sort, nodes}; a missing value stands last whichever way it is sorted.

const dataTable = (headers, rows, { sortable = true, classes = () => null, step = 100 } = {}) => {
  const body = el("tbody");
  const rest = el("button", { type: "button", class: "more", hidden: true, onclick: () => fill(shown + step) });
  let shown = step;
  let by = null;
  let down = true;
  const fill = (most) => {
    shown = most;
    const order = rows.map((_, index) => index);
    if (by !== null) {
      order.sort((a, b) => {
        const [x, y] = [rows[a][by].sort, rows[b][by].sort];
        if (x === null || x === undefined) return y === null || y === undefined ? a - b : 1;
        if (y === null || y === undefined) return -1;
        const sign = typeof x === "string" ? x.localeCompare(y) : x - y;
        return (down ? -sign : sign) || a - b;
      });
    }
    rest.hidden = order.length <= shown;
    rest.textContent = `show more (${(order.length - shown).toLocaleString("en")} left)`;
    body.replaceChildren(...order.slice(0, shown).map((index) => el("tr", { class: classes(index) },
      rows[index].map((cell, place) => el(place ? "td" : "th", { class: cell.text ? `text${cell.long ? " long" : ""}` : null }, cell.nodes)))));
  };
  const heads = headers.map((header, place) => {
    const head = el("th", { class: [sortable && "sorts", header.text && "text"].filter(Boolean).join(" ") || null, title: header.title ?? null },
      (header.lines ?? [header]).map((line, number) => [number ? el("br") : null, line]));
    if (sortable) {
      const sort = () => {
        down = by === place ? !down : !header.up;
        by = place;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        fill(step);
      };
      head.tabIndex = 0;
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
    }
    return head;
  });
  fill(step);
  return el("div", {}, el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), body)), rest);
};

const valueCell = (row, letters = "", lettered = false) => {
  if (!row || row.value === null || row.value === undefined) return { sort: null, nodes: ["–"] };
  return {
    sort: row.value,
    nodes: [figure(row.value), el("small", {}, interval(row.ci_low, row.ci_high)), lettered ? el("i", {}, letters) : null],
  };
};
const textCell = (text, most = 160) => ({ sort: String(text ?? ""), text: true, long: String(text ?? "").length > 24, nodes: [foreign(text, most)] });

// Words of two texts, and which of them the other lacks (longest common subsequence; by vocabulary where too long).
const wordsOf = (text) => clean(text).split(/(\s+)/).filter((each) => each !== "");
const changed = (left, right) => {
  const [a, b] = [wordsOf(left), wordsOf(right)];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let [enda, endb] = [a.length, b.length];
  while (enda > head && endb > head && a[enda - 1] === b[endb - 1]) { enda -= 1; endb -= 1; }
  const [n, m] = [enda - head, endb - head];
  const [keepa, keepb] = [new Set(), new Set()];
  if (n * m > 4e6) {
    const [ina, inb] = [new Set(a), new Set(b)];
    a.forEach((word, i) => inb.has(word) && keepa.add(i));
    b.forEach((word, i) => ina.has(word) && keepb.add(i));
  } else {
    const length = new Uint16Array((n + 1) * (m + 1));
    for (let i = n - 1; i >= 0; i -= 1) {
      for (let j = m - 1; j >= 0; j -= 1) {
        length[i * (m + 1) + j] = a[head + i] === b[head + j]
          ? length[(i + 1) * (m + 1) + j + 1] + 1
          : Math.max(length[(i + 1) * (m + 1) + j], length[i * (m + 1) + j + 1]);
      }
    }
    for (let i = 0, j = 0; i < n && j < m;) {
      if (a[head + i] === b[head + j]) { keepa.add(head + i); keepb.add(head + j); i += 1; j += 1; }
      else if (length[(i + 1) * (m + 1) + j] >= length[i * (m + 1) + j + 1]) i += 1;
      else j += 1;
    }
  }
  const same = (keep, end) => (_, place) => place < head || place >= end || keep.has(place);
  return [marked(a, same(keepa, enda), "del"), marked(b, same(keepb, endb), "ins")];
};
const marked = (parts, same, tag) => {
  const nodes = [];
  parts.forEach((word, place) => {
    const plain = same(word, place) || /^\s+$/.test(word);
    nodes.push(plain ? word : el(tag, {}, word));
  });
  return nodes;
};
