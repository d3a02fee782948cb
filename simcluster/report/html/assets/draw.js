"use strict";
// What every chart needs: its data, numbers with units, a tip that follows mouse and keyboard, light and dark.
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
const redraws = [];

function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 4)) + "px";
  tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + "px";
}

function hideTip() { tip.hidden = true; }

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); }

function seconds(value, step) {  // with as many digits as tell times `step` apart
  for (const [unit, size] of [["s", 1], ["ms", 1e-3], ["us", 1e-6]])
    if (Math.abs(value) >= size) return digits(value / size, step && step / size) + " " + unit;
  return value ? digits(value / 1e-9) + " ns" : "0 s";
}

function digits(value, step) {
  const size = Math.abs(value);
  if (step && step < size / 2000) return value.toFixed(Math.min(Math.ceil(-Math.log10(step)), 12));
  return size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}

function quantity(value, measure) {
  if (measure === "seconds") return seconds(value);
  if (measure === "fraction") return digits(100 * value) + " %";
  const unit = { "bytes/s": "B/s", bytes: "B", "FLOP/s": "FLOPS", watts: "W", "USD/h": "USD/h" }[measure] || "";
  for (const [prefix, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", unit.startsWith("B") ? 1e3 : Infinity]])
    if (Math.abs(value) >= size) return digits(value / size) + " " + prefix + unit;
  return (digits(value) + " " + unit).trim();
}

function inkOn(background) {  // dark or white, whichever can be read better
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(background.slice(at, at + 2), 16) / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#1d2329" : "#ffffff";
}

function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power, found = [];
  for (let at = Math.ceil(low / step); at * step <= high * (1 + 1e-12); at++) found.push(at * step);
  return found;
}

function make(tag, attributes, parent, text) {
  const drawn = ["svg", "g", "line", "path", "circle", "rect", "text"].includes(tag);
  const node = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function legend(figure, entries) {
  const list = make("ul", { class: "legend" }, figure);
  for (const [name, hue] of entries) {
    const item = make("li", {}, list), mark = make("svg", { viewBox: "0 0 10 10" }, item);
    make("rect", { width: 10, height: 10, rx: 2 }, mark).style.fill = hue.startsWith("#") ? hue : "var(--" + hue + ")";
    item.append(name);
  }
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement.classList;
  const dark = root.contains("dark") || (!root.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
  root.remove("light", "dark");
  root.add(dark ? "light" : "dark");
  redraws.forEach((draw) => draw());
});
let printed = null;  // what printing changed: the theme, and details that were closed
addEventListener("beforeprint", () => {
  const root = document.documentElement, closed = [...document.querySelectorAll("details:not([open])")];
  printed = { theme: root.className, closed };
  root.className = "light";
  closed.forEach((one) => { one.open = true; });
  redraws.forEach((draw) => draw());
});
addEventListener("afterprint", () => {
  if (!printed) return;
  document.documentElement.className = printed.theme;
  printed.closed.forEach((one) => { one.open = false; });
  printed = null;
  redraws.forEach((draw) => draw());
});
addEventListener("resize", () => redraws.forEach((draw) => draw()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((draw) => draw()));
