// Data in, elements out. Foreign text reaches the page as text nodes only; nothing here parses HTML.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu; // control, format (overrides of direction), private
const spelt = (char) => {
  if (char === "\n" || char === "\t" || char === "\u200c" || char === "\u200d") return char;
  const code = char.codePointAt(0);
  return code < 0x20 ? String.fromCodePoint(0x2400 + code) : `\\u{${code.toString(16)}}`;
};
/** Foreign text without escape sequences and overrides of direction. */
const clean = (text) => String(text ?? "").replace(UNSEEN, spelt);
/** The same on one line, cut to a length that says how long it was. */
const brief = (text, most = 120) => {
  const whole = String(text ?? "");
  const line = clean(whole.slice(0, most * 2)).replace(/\s+/g, " ");
  return line.length <= most && whole.length <= most * 2
    ? line
    : `${line.slice(0, most)}… (${whole.length.toLocaleString("en")} characters)`;
};

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = new Set(["svg", "g", "path", "line", "circle", "rect", "text", "title", "polyline"]);
/** An element: `el("td", {class: "x", onclick: f}, "text", child)`; strings become text. */
const el = (tag, attributes = {}, ...children) => {
  const node = SHAPES.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false));
  return node;
};
/** Foreign text in a place of its own, so that its direction is its own affair. */
const foreign = (text, most) =>
  el("span", { class: "foreign", dir: "auto", title: most && String(text ?? "").length > most ? brief(text, 600) : null },
    most ? brief(text, most) : clean(text));

/** Unpack a block of data; `raw` gives its bytes. Each is unpacked once. */
const unpacked = new Map();
const unpack = (name, { raw = false } = {}) => {
  if (!unpacked.has(name)) unpacked.set(name, unpackOnce(name, raw));
  return unpacked.get(name);
};
const unpackOnce = async (name, raw) => {
  const block = document.getElementById(`block-${name}`);
  if (!block) throw new Error(`no block ${name}`);
  const bytes = Uint8Array.from(atob(block.textContent), (char) => char.charCodeAt(0));
  const response = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  return raw ? new Uint8Array(await response.arrayBuffer()) : JSON.parse(await response.text());
};

const figure = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const bound = (value) => (value >= 0 && value < 1 ? value.toFixed(2).replace(/^0/, "") : value.toFixed(2));
/** `[.58 .66]`, or nothing. */
const interval = (low, high) => (low === null || low === undefined ? "" : `[${bound(low)} ${bound(high)}]`);
const colour = (place) => `var(--c${place % 8})`;
const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** Many rows, drawn some at a time: as many again each time the end comes into sight. */
const listing = (host, count, draw, step = 25) => {
  let drawn = 0;
  const end = el("button", { type: "button", class: "more" }, "");
  const more = () => {
    const until = Math.min(count, drawn + step);
    for (; drawn < until; drawn += 1) end.before(draw(drawn));
    end.hidden = drawn >= count;
    end.textContent = `show more (${(count - drawn).toLocaleString("en")} left)`;
  };
  end.addEventListener("click", more);
  host.replaceChildren(end);
  more();
};

/** A choice: `options` are [value, text]. */
const choice = (name, label, options, chosen, change) => {
  const select = el("select", { name, onchange: (event) => change(event.target.value) },
    options.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, brief(text, 60))));
  return el("label", {}, label, select);
};

const section = (id, title, about, ...children) =>
  el("section", { id }, el("h2", {}, title), about ? el("p", { class: "quiet" }, about) : null, children);
/** The commands behind a figure. */
const commands = (list, what = "made by") =>
  el("details", { class: "made" }, el("summary", {}, what),
    [...new Set(list.filter(Boolean))].slice(0, 120).map((each) => el("pre", {}, clean(each))));

const themeButton = () => {
  const names = ["auto", "light", "dark"];
  let place = 0;
  const button = el("button", { type: "button", id: "theme", title: "colours: the system's, light, dark", onclick: () => {
    place = (place + 1) % 3;
    if (place) document.documentElement.dataset.theme = names[place];
    else delete document.documentElement.dataset.theme;
    button.textContent = names[place];
  } }, "auto");
  return button;
};

/** Start a page: draw it from the main block, or say why that failed. */
const start = (draw) => {
  const page = document.getElementById("page");
  if (typeof DecompressionStream === "undefined") {
    page.replaceChildren(el("p", {}, "This browser cannot unpack the data; any from 2023 or later can."));
    return;
  }
  unpack("main").then(draw).then((sections) => {
    const shown = sections.filter(Boolean);
    const links = shown.filter((each) => each.tagName === "SECTION").map((each) =>
      el("a", { href: `#${each.id}` }, each.querySelector("h2").textContent));
    page.replaceChildren(shown[0], el("nav", {}, links), ...shown.slice(1));
    document.documentElement.dataset.ready = "yes";
  }).catch((error) => {
    page.replaceChildren(el("p", { class: "warn" }, `the page cannot be drawn: ${error}`));
    document.documentElement.dataset.ready = "failed";
  });
};
