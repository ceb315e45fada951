// Charts as SVG: axes, points with intervals, lines. Colours come from the style sheet, so both themes fit.

const ticks = (low, high, wanted = 5) => {
  const span = high - low || 1;
  const power = 10 ** Math.floor(Math.log10(span / wanted));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => span / each <= wanted + 0.5) ?? span;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(at);
  return found;
};
const tickText = (value) => String(Number(value.toPrecision(4)));

/** A frame with axes: gives `{svg, x, y}`, where x and y turn values into places. */
const frame = ({ width = 640, height = 320, left = 66, right = 16, top = 12, bottom = 44, x, y, xlabel, ylabel, label }) => {
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label ?? `${ylabel} by ${xlabel}` });
  const scale = (range, from, to) => (value) => from + ((value - range[0]) / (range[1] - range[0] || 1)) * (to - from);
  const placex = scale(x.range, left, width - right);
  const placey = scale(y.range, height - bottom, top);
  for (const at of y.ticks ?? ticks(...y.range)) {
    svg.append(el("line", { class: "grid", x1: left, x2: width - right, y1: placey(at), y2: placey(at) }));
    svg.append(el("text", { x: left - 8, y: placey(at) + 4, "text-anchor": "end" }, y.text ? y.text(at) : tickText(at)));
  }
  for (const at of x.ticks ?? ticks(...x.range)) {
    svg.append(el("line", { class: "axis", x1: placex(at), x2: placex(at), y1: height - bottom, y2: height - bottom + 4 }));
    svg.append(el("text", { x: placex(at), y: height - bottom + 18, "text-anchor": "middle" }, x.text ? x.text(at) : tickText(at)));
  }
  svg.append(el("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  // Below a narrow chart a long name is moved to where all of it can be read.
  const half = Math.min(width / 2, (xlabel ?? "").length * 3.4);
  if (xlabel) svg.append(el("text", { x: Math.min(Math.max((left + width - right) / 2, half), width - half), y: height - 6, "text-anchor": "middle" }, xlabel));
  if (ylabel) svg.append(el("text", { x: 12, y: (top + height - bottom) / 2, "text-anchor": "middle",
    transform: `rotate(-90 12 ${(top + height - bottom) / 2})` }, ylabel));
  return { svg, x: placex, y: placey, left, right: width - right, top, bottom: height - bottom };
};

const spread = (values, { pad = 0.06, within = null } = {}) => {
  const known = values.filter((each) => each !== null && each !== undefined && Number.isFinite(each));
  if (!known.length) return [0, 1];
  let [low, high] = [known[0], known[0]];
  for (const each of known) { if (each < low) low = each; if (each > high) high = each; }
  const room = (high - low || Math.abs(high) || 1) * pad;
  [low, high] = [low - room, high + room];
  return within ? [Math.max(within[0], low), Math.min(within[1], high)] : [low, high];
};

/** Width of a figure in its own units: what is drawn for a desk would have letters too small to read on a phone. */
const wide = () => Math.max(320, Math.min(1080, window.innerWidth - 84));

/** Lines over named bins: {name, place, points: [{bin, value, ci_low, ci_high, n}]}. */
const lines = (series, bins, { xlabel, ylabel, within = [0, 1], height = 340 }) => {
  const shown = series.flatMap((each) => each.points.flatMap((point) => [point.value, point.ci_low, point.ci_high]));
  const axes = frame({ width: wide(), height, xlabel, ylabel, y: { range: spread(shown, { within }) },
    x: { range: [-0.5, bins.length - 0.5], ticks: bins.map((_, at) => at), text: (at) => bins[at] } });
  series.forEach((each, place) => {
    const shift = (place - (series.length - 1) / 2) * Math.min(0.12, 0.6 / series.length);
    const at = (point) => axes.x(bins.indexOf(point.bin) + shift);
    axes.svg.append(el("polyline", { fill: "none", stroke: colour(each.place), "stroke-width": each.strong ? 2.4 : 1.4, opacity: each.strong ? 0.95 : 0.6,
      points: each.points.map((point) => `${at(point)},${axes.y(point.value)}`).join(" ") }));
    for (const point of each.points) {
      if (point.ci_low !== null) axes.svg.append(el("line", { stroke: colour(each.place), opacity: 0.35, x1: at(point), x2: at(point), y1: axes.y(point.ci_low), y2: axes.y(point.ci_high) }));
      axes.svg.append(el("circle", { cx: at(point), cy: axes.y(point.value), r: 3.5, fill: colour(each.place) },
        el("title", {}, `${brief(each.name, 80)}, ${point.bin}: ${figure(point.value)} ${interval(point.ci_low, point.ci_high)}, n = ${point.n}`)));
    }
  });
  return axes.svg;
};

/** Lines over numbers: {name, place, strong, points: [[x, y]]}; `whole`: ticks at whole numbers only. */
const curves = (series, { xlabel, ylabel, height = 260, whole = false }) => {
  const all = series.flatMap((each) => each.points);
  const across = spread(all.map(([x]) => x), { pad: 0.02 });
  const at = ticks(...across);
  const axes = frame({ width: wide(), height, xlabel, ylabel, x: { range: across, ticks: whole ? at.filter(Number.isInteger) : at }, y: { range: spread(all.map(([, y]) => y)) } });
  for (const { name, place, strong, points } of series) {
    axes.svg.append(el("polyline", { fill: "none", stroke: colour(place), "stroke-width": strong ? 2.2 : 1.3, opacity: strong ? 1 : 0.7, points: points.map(([x, y]) => `${axes.x(x)},${axes.y(y)}`).join(" ") }));
    if (points.length < 40) for (const [x, y] of points) axes.svg.append(el("circle", { cx: axes.x(x), cy: axes.y(y), r: 3, fill: colour(place) }, el("title", {}, `${brief(name, 60)}, ${xlabel} ${x}: ${figure(y)}`)));
  }
  return axes.svg;
};

/** Points with intervals both ways: {name, place, x, xlow, xhigh, y, ylow, yhigh, size, label, strong, click}. */
const scatter = (points, { xlabel, ylabel, within = [0, 1], width = wide(), height = 420, path = null }) => {
  const side = (name) => points.flatMap((each) => [each[name], each[`${name}low`], each[`${name}high`]]);
  const axes = frame({ width, height, xlabel, ylabel, x: { range: spread(side("x"), { within }) }, y: { range: spread(side("y"), { within }) } });
  if (path && path.length > 1) {
    axes.svg.append(el("polyline", { fill: "none", stroke: "var(--c0)", opacity: 0.45, "stroke-width": 1.6,
      points: path.map(([x, y]) => `${axes.x(x)},${axes.y(y)}`).join(" ") }));
  }
  // Boxes that a name must not cover: every point's, then every name that is set.
  const taken = points.map((each) => ({ x: axes.x(each.x) - (each.size ?? 5), y: axes.y(each.y) - (each.size ?? 5), width: 2 * (each.size ?? 5), height: 2 * (each.size ?? 5) }));
  const clash = (box) => taken.some((other) => box.x < other.x + other.width && other.x < box.x + box.width && box.y < other.y + other.height && other.y < box.y + box.height);
  const names = [];
  for (const each of points) {
    const [x, y, ink, size] = [axes.x(each.x), axes.y(each.y), colour(each.place), each.size ?? 5];
    const g = el("g", { opacity: each.faint ? 0.55 : 1 });
    if (each.xlow !== null && each.xlow !== undefined) g.append(el("line", { stroke: ink, opacity: 0.4, x1: axes.x(each.xlow), x2: axes.x(each.xhigh), y1: y, y2: y }));
    if (each.ylow !== null && each.ylow !== undefined) g.append(el("line", { stroke: ink, opacity: 0.4, x1: x, x2: x, y1: axes.y(each.ylow), y2: axes.y(each.yhigh) }));
    g.append(el("circle", { cx: x, cy: y, r: size, fill: each.hollow ? "var(--card)" : ink, stroke: ink, "fill-opacity": each.hollow ? 1 : 0.75, "stroke-width": 1.5 },
      el("title", {}, each.title ?? brief(each.name, 80))));
    axes.svg.append(g);
    const text = brief(each.label ?? each.name, 28);
    const wide = text.length * 6.4;
    const sides = [x + size + 5, x - size - 5 - wide].filter((at) => at >= axes.left && at + wide <= axes.right);
    for (const [by, at] of [0, -13, 13, -26, 26].flatMap((by) => sides.map((at) => [by, at]))) {
      const box = { x: at, y: y + by - 6, width: wide, height: 12 };
      if (box.y > axes.top && box.y + box.height < axes.bottom && !clash(box)) {
        names.push(el("text", { x: at, y: y + by + 4, class: each.strong ? "strong" : null }, text));
        taken.push(box);
        break;
      }
    }
  }
  axes.svg.append(...names); // above all points and bars
  return axes.svg;
};
