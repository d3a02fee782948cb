// Points and lines as SVG: Tab reaches a chart, arrow keys its marks from left to right, and each tells its values.
const TILT = 0.64;  // radians by which words on an axis are turned where they would touch
const KEYS = "Arrow keys move, Escape closes";

// Long names often differ in their ends only.
function short(name) { return name.length > 20 ? name.slice(0, 10) + "…" + name.slice(-9) : name; }

function plot(figure, held, inside) {
  const box = make("div", {}, figure), ruler = document.createElement("canvas").getContext("2d");
  ruler.font = "12px " + getComputedStyle(box).fontFamily;
  function draw() {
    const marked = [...box.querySelectorAll("[role=img]")].indexOf(document.activeElement);
    box.replaceChildren();
    const words = (held.x.names || []).map(short), width = Math.max(box.clientWidth, 280);
    const longest = Math.max(0, ...words.map((word) => ruler.measureText(word).width));
    const beside = 14 + (width - 88) * 0.045;  // between the last mark and the edge
    const tilted = words.length > 1 && (longest + 8 > (width - 88) / words.length || longest / 2 > beside);
    const edge = { left: tilted ? Math.max(74, longest * Math.cos(TILT)) : 74, right: 14, top: 24,
      bottom: tilted ? 42 + longest * Math.sin(TILT) : 46 };
    const height = Math.min(420, Math.max(260, width * 0.5)) + edge.bottom - 46;
    const svg = make("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "group",
      "aria-label": figure.getAttribute("aria-label") + ". " + KEYS }, box);
    const [x, y] = [held.x, held.y].map((axis, vertical) => {
      const logs = axis.log && axis.low > 0, map = logs ? Math.log10 : Number;
      let low = axis.zero ? 0 : map(axis.low), high = map(axis.high);
      const pad = (high - low) * 0.05 || Math.abs(high) * 0.1 || 0.5;
      low -= axis.zero ? 0 : pad;
      high += pad;
      const room = vertical ? height - edge.top - edge.bottom : width - edge.left - edge.right;
      const at = (value) => (map(value) - low) / (high - low) * room;
      const marks = (logs ? powers(low, high) : ticks(low, high, vertical ? 5 : Math.max(2, width / 130)));
      return { marks: axis.names ? axis.names.map((_, i) => i) : marks, name: axis.names ? (i) => words[i] :
        (value) => quantity(value, axis.measure), at: vertical ? (v) => height - edge.bottom - at(v) :
        (v) => edge.left + at(v) };
    });
    const apart = words.length > 1 ? (x.at(1) - x.at(0)) * Math.sin(TILT) : Infinity;
    const every = tilted ? Math.ceil(13 / apart) : 1;  // of words closer than a line is high some are left out
    for (const mark of x.marks) {
      make("line", { class: "axis", x1: x.at(mark), x2: x.at(mark), y1: edge.top, y2: height - edge.bottom }, svg);
      if (mark % every && words.length) continue;
      const at = [x.at(mark), height - edge.bottom + (tilted ? 12 : 17)];
      make("text", { x: at[0], y: at[1], "text-anchor": tilted ? "end" : "middle",
        ...(tilted ? { transform: `rotate(${-TILT * 180 / Math.PI} ${at[0]} ${at[1]})` } : {}) }, svg, x.name(mark));
    }
    for (const mark of y.marks) {
      make("line", { class: "axis", x1: edge.left, x2: width - edge.right, y1: y.at(mark), y2: y.at(mark) }, svg);
      make("text", { x: edge.left - 8, y: y.at(mark) + 4, "text-anchor": "end" }, svg, y.name(mark));
    }
    make("text", { x: width - edge.right, y: height - 8, "text-anchor": "end" }, svg, held.x.name);
    make("text", { x: 2, y: 11 }, svg, held.y.name);
    make("text", { class: "keys", x: width - 2, y: 11, "text-anchor": "end", "aria-hidden": true }, svg, KEYS);
    inside(svg, x, y);
    rove(svg, marked);
  }
  redraws.push(draw);
  draw();
}

function powers(low, high) {
  const found = [], dense = high - low < 1.6 ? [1, 2, 5] : [1];
  for (let power = Math.floor(low); power <= high; power++)
    for (const each of dense)
      if (Math.log10(each) + power >= low && Math.log10(each) + power <= high) found.push(each * 10 ** power);
  return found;
}

function rove(svg, marked) {  // one stop for Tab; the marks in the order of x, the one that had the focus keeps it
  const marks = [...svg.querySelectorAll("[role=img]")].sort((a, b) => a.getAttribute("cx") - b.getAttribute("cx"));
  const all = [...svg.querySelectorAll("[role=img]")];
  if (!marks.length) return;
  let at = marked >= 0 ? marks.indexOf(all[marked]) : 0;
  const go = (to) => {
    marks[at].setAttribute("tabindex", -1);
    at = Math.min(Math.max(to, 0), marks.length - 1);
    marks[at].setAttribute("tabindex", 0);
    marks[at].focus();
  };
  marks[at].setAttribute("tabindex", 0);
  if (marked >= 0) marks[at].focus({ preventScroll: true });  // a phone's window also changes while it scrolls
  svg.addEventListener("focusin", (event) => { if (marks.includes(event.target)) at = marks.indexOf(event.target); });
  svg.addEventListener("keydown", (event) => {
    const keys = { ArrowRight: () => go(at + 1), ArrowLeft: () => go(at - 1), Home: () => go(0),
      End: () => go(marks.length - 1), Escape: hideTip };
    if (keys[event.key] && !event.ctrlKey && !event.metaKey) { keys[event.key](); event.preventDefault(); }
  });
}

function telling(node, text) {
  node.setAttribute("tabindex", -1);
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", text.replaceAll("\n", ", "));
  node.addEventListener("pointerenter", (event) => showTip(text, event.clientX, event.clientY));
  node.addEventListener("pointerleave", hideTip);
  node.addEventListener("focus", () => {
    const box = node.getBoundingClientRect();
    showTip(text, box.right, box.bottom);
  });
  node.addEventListener("blur", hideTip);
}

function points(figure, held) {
  plot(figure, held, (svg, x, y) => {
    for (const one of held.points)
      telling(make("circle", { class: "dot " + one.role, cx: x.at(one.x), cy: y.at(one.y), r: one.role ? 6 : 3.5 }, svg),
        one.text);
  });
  legend(figure, held.legend);
}

function lines(figure, held) {
  const hues = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8a900", "#8ca5b5"];
  plot(figure, held, (svg, x, y) => {
    held.lines.forEach((line, number) => {
      const hue = hues[number % hues.length], known = line.points.filter((one) => one.y !== null);
      const path = known.map((one, i) => (i ? "L" : "M") + x.at(one.x) + " " + y.at(one.y)).join("");
      if (!held.x.names) make("path", { class: "line", d: path, stroke: hue }, svg);  // nothing lies between words
      for (const one of known)
        telling(make("circle", { cx: x.at(one.x), cy: y.at(one.y), r: 4.5, fill: hue }, svg), one.text);
    });
  });
  if (held.lines.length > 1) legend(figure, held.lines.map((line, i) => [line.name, hues[i % hues.length]]));
}

const drawings = { timeline, points, lines };
for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const one = data[Number(figure.dataset.chart)];
  drawings[one.chart](figure, one.data);
}
