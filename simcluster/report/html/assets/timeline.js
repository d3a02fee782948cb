// A timeline on a canvas: wheel or + and - zoom, drag or arrow keys move, 0 shows all; hover or comma and full stop tell.
// Below the lanes of spans those of curves, which have a value for each of equally long bins.
function timeline(figure, held) {
  const controls = make("div", { class: "controls" }, figure);
  make("p", { class: "note keys" }, figure, "Keys: arrows left and right move, up and down change the lane, comma and " +
    "full stop go from span to span, + and - zoom, 0 shows all, Escape puts the tip away.");
  const canvas = make("canvas", { tabindex: 0, role: "application", "aria-label": figure.getAttribute("aria-label") +
    ". Plus and minus zoom, arrow keys move, comma and full stop go from span to span." }, figure);
  const pen = canvas.getContext("2d"), row = 26, gap = 6, top = 22, left = 132;
  const bins = (curve) => ({ ...curve, start: curve.value.map((_, i) => i * held.end_s / curve.value.length),
    length: curve.value.map(() => held.end_s / curve.value.length) });
  const lanes = [...held.lanes, ...held.curves.map(bins)], height = top + lanes.length * (row + gap);
  let from = 0, to = held.end_s, chosen = null, drag = null;

  function place(time) { return left + (time - from) / (to - from) * (canvas.clientWidth - left - 8); }
  function time(x) { return from + (x - left) / (canvas.clientWidth - left - 8) * (to - from); }

  function first(lane, at) {  // the first span that ends after a time
    let low = 0, high = lane.start.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lane.start[middle] + lane.length[middle] > at) high = middle; else low = middle + 1;
    }
    return low;
  }

  function nearest(lane, at) {
    const next = Math.min(first(lane, at), lane.start.length - 1);
    if (!next) return 0;
    return at - lane.start[next - 1] - lane.length[next - 1] < lane.start[next] - at ? next - 1 : next;
  }

  function draw() {
    const scale = devicePixelRatio || 1, width = canvas.clientWidth;
    canvas.style.height = height + "px";
    canvas.width = width * scale;
    canvas.height = height * scale;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.fillStyle = colour("soft");
    const marks = ticks(from, to, Math.max(2, width / 150)), apart = marks.length > 1 ? marks[1] - marks[0] : to - from;
    let free = left;  // where the next label may begin
    for (const at of marks) {
      pen.fillStyle = colour("line");
      pen.fillRect(place(at), top - 4, 1, height);
      pen.fillStyle = colour("soft");
      const label = seconds(at, apart), wide = pen.measureText(label).width;
      const x = place(at) + (3 + wide > width - place(at) ? -3 - wide : 3);  // before its line where it would be cut
      if (x < free) continue;
      pen.fillText(label, x, 9);
      free = x + wide + 6;
    }
    lanes.forEach((lane, number) => {
      const y = top + number * (row + gap);
      pen.fillStyle = colour("paper");
      pen.fillRect(0, y - gap / 2, left - 4, row + gap);
      pen.fillStyle = colour("soft");
      pen.fillText(lane.name, 0, y + row / 2, left - 8);
      pen.save();
      pen.beginPath();
      pen.rect(left, 0, width - left, height);
      pen.clip();
      let last = -1;
      const hue = lane.value && colour(lane.hue);
      if (lane.value) {
        pen.fillStyle = colour("panel");
        pen.fillRect(left, y, width - left, row);
      }
      for (let i = first(lane, from); i < lane.start.length && lane.start[i] < to; i++) {
        const begin = Math.max(place(lane.start[i]), left - 1), end = place(lane.start[i] + lane.length[i]);
        if (end < last + 0.4) continue;  // thinner than a pixel, and drawn already
        last = Math.max(end, begin + 0.6);
        if (lane.value) {
          const tall = row * lane.value[i] / lane.most;
          pen.fillStyle = hue;
          pen.fillRect(Math.floor(begin), y + row - tall, Math.ceil(last) - Math.floor(begin), tall);
          continue;
        }
        const operation = held.operations[lane.operation[i]];
        pen.fillStyle = colour(operation.hue);
        pen.fillRect(begin, y, Math.max(end - begin - (end - begin > 3 ? 1 : 0), 0.6), row);
        if (end - begin > 46) {
          pen.fillStyle = inkOn(colour(operation.hue));
          pen.fillText(operation.name, begin + 5, y + row / 2, end - begin - 9);
        }
      }
      pen.restore();
    });
    if (chosen) {
      const lane = lanes[chosen.lane], y = top + chosen.lane * (row + gap);
      pen.strokeStyle = colour("ink");
      pen.lineWidth = 2;
      pen.strokeRect(place(lane.start[chosen.at]), y, place(lane.start[chosen.at] + lane.length[chosen.at]) -
        place(lane.start[chosen.at]), row);
    }
    canvas.dataset.window = from + " " + to;
  }

  function show(low, high) {
    const least = held.end_s * 1e-6, span = Math.min(Math.max(high - low, least), held.end_s);
    from = Math.min(Math.max(low, 0), held.end_s - span);
    to = from + span;
    draw();
  }

  function zoom(factor, at) { show(at - (at - from) * factor, at + (to - at) * factor); }

  function told(lane, at) {
    const when = "from " + seconds(lane.start[at], (to - from) / 1000) + ", " + seconds(lane.length[at]) + " long";
    if (lane.value) return [lane.name + " " + quantity(lane.value[at], lane.measure), when].join("\n");
    const operation = held.operations[lane.operation[at]];
    return [operation.name + (operation.layer === null ? "" : ", layer " + operation.layer), lane.name, when,
      ...operation.facts].join("\n");
  }

  function found(x, y) {
    const number = Math.floor((y - top) / (row + gap)), lane = lanes[number];
    if (!lane || x < left) return null;
    const slack = 2 * (to - from) / canvas.clientWidth, at = first(lane, time(x) - slack);
    return at < lane.start.length && lane.start[at] <= time(x) + slack ? { lane: number, at } : null;
  }

  function tell(event) {
    const over = found(event.offsetX, event.offsetY);
    if (over) showTip(told(lanes[over.lane], over.at), event.clientX, event.clientY); else hideTip();
  }

  function step(by) {
    const lane = chosen ? chosen.lane : 0, at = chosen ? chosen.at + by : first(lanes[0], from);
    if (!lanes[lane] || at < 0 || at >= lanes[lane].start.length) return;
    chosen = { lane, at };
    const begin = lanes[lane].start[at], end = begin + lanes[lane].length[at];
    if (begin < from || end > to) show(begin - (to - from) / 3, begin + (to - from) * 2 / 3); else draw();
    const box = canvas.getBoundingClientRect();
    showTip(told(lanes[lane], at), box.left + place(begin), box.top + top + lane * (row + gap) + row);
  }

  function hop(by) {  // to another lane, where the chosen span is in time
    const near = chosen ? lanes[chosen.lane].start[chosen.at] : (from + to) / 2;
    const lane = Math.min(Math.max(chosen ? chosen.lane + by : 0, 0), lanes.length - 1);
    chosen = { lane, at: nearest(lanes[lane], near) };
    step(0);
  }

  const keys = {
    "+": () => zoom(0.5, (from + to) / 2), "=": () => zoom(0.5, (from + to) / 2), "-": () => zoom(2, (from + to) / 2),
    "0": () => show(0, held.end_s), ArrowRight: () => show(from + (to - from) / 5, to + (to - from) / 5),
    ArrowLeft: () => show(from - (to - from) / 5, to - (to - from) / 5), ",": () => step(-1), ".": () => step(1),
    ArrowDown: () => hop(1), ArrowUp: () => hop(-1),
    Escape: () => { chosen = null; hideTip(); draw(); },
  };
  canvas.addEventListener("keydown", (event) => {
    if (keys[event.key] && !event.ctrlKey && !event.metaKey) { keys[event.key](); event.preventDefault(); }
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey && document.activeElement !== canvas) return;  // else the page scrolls
    const sideways = event.deltaX / canvas.clientWidth * (to - from);
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) show(from + sideways, to + sideways);
    else if (event.deltaY) zoom(event.deltaY > 0 ? 1.25 : 0.8, time(event.offsetX));
    event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus();
    drag = { x: event.offsetX, from, to, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) tell(event);  // a tap
    drag = null;
  });
  for (const ended of ["pointercancel", "lostpointercapture"]) canvas.addEventListener(ended, () => { drag = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      drag.moved ||= Math.abs(event.offsetX - drag.x) > 3;
      if (drag.moved) hideTip();  // it tells of what lay there
      const moved = (event.offsetX - drag.x) / (canvas.clientWidth - left - 8) * (drag.to - drag.from);
      show(drag.from - moved, drag.to - moved);
      return;
    }
    tell(event);
  });
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hideTip(); });
  canvas.addEventListener("blur", hideTip);
  for (const [name, act] of [["Zoom in", keys["+"]], ["Zoom out", keys["-"]], ["All", keys["0"]]])
    make("button", { type: "button" }, controls, name).addEventListener("click", act);
  legend(figure, held.legend);
  redraws.push(draw);
  show(held.window[0], held.window[1]);
}
