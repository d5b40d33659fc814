"use strict";
/* Per-frame curves: small charts that share one cursor, which moves with the frame. */

/* Column, title, unit, and digits printed. */
EB.curves = [
  ["l1", "L1", "intensity in [0, 1]", 4], ["psnr", "PSNR", "dB", 2],
  ["nme", "Landmark error (NME)", "eye distances", 4], ["acceleration_error", "Acceleration error", "eye distances / frame²", 4],
];

/* A chart: lines are [{label, colour, values}]; `seek` is told of the frame that somebody points at. */
EB.chart = (title, unit, lines, frames, scoredFrom, seek) => {
  const { h, svg } = EB;
  // Drawn about as wide as it is shown, so that its labels keep their size.
  const width = matchMedia("(max-width: 40rem)").matches ? 300 : 600;
  const [height, left, top, bottom] = [150, 46, 8, 18];
  const values = lines.flatMap((line) => line.values).filter((value) => value !== null);
  // Errors are shown from zero, which is perfect; decibels have no such point.
  const ticks = EB.ticks(unit === "dB" ? Math.min(...values) : 0, Math.max(...values));
  const [low, high] = [ticks[0], ticks.at(-1)];
  const x = (t) => left + (width - left - 6) * (frames > 1 ? t / (frames - 1) : 0.5);
  const y = (value) => top + (height - top - bottom) * (1 - (value - low) / (high - low || 1));
  const cursor = svg("line", { class: "cursor", y1: top, y2: height - bottom });
  const dots = lines.map((line) => svg("circle", { class: `dot ${line.colour}`, r: 3.5 }));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title} of every frame, ${lines.map((line) => line.label).join(", ")}` },
    ticks.map((tick) => [
      svg("line", { class: "grid", x1: left, x2: width - 6, y1: y(tick), y2: y(tick) }),
      svg("text", { class: "tick", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, EB.tick(tick, ticks)),
    ]),
    [0, frames - 1].map((t) => svg("text", { class: "tick", x: x(t), y: height - 3, "text-anchor": t ? "end" : "start" }, `${t + 1}`)),
    scoredFrom > 0 && svg("rect", { class: "unscored", x: x(0), y: top, width: x(scoredFrom) - x(0), height: height - top - bottom }),
    lines.map((line) => svg("path", { class: `line ${line.colour}`, d: EB.path(line.values, x, y) })),
    cursor, dots);
  const point = (event) => {
    const box = picture.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width * width - left) / (width - left - 6);
    seek(Math.max(0, Math.min(frames - 1, Math.round(place * (frames - 1)))));
  };
  picture.addEventListener("pointerdown", (event) => { picture.setPointerCapture(event.pointerId); point(event); });
  picture.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
  return {
    element: h("figure", { class: "chart" }, h("figcaption", {}, title, h("span", { class: "aside" }, ` ${unit}`)), picture),
    at: (t) => {
      cursor.setAttribute("x1", x(t));
      cursor.setAttribute("x2", x(t));
      lines.forEach((line, number) => {
        const value = line.values[t];
        dots[number].setAttribute("visibility", value === null || value === undefined ? "hidden" : "visible");
        if (value !== null && value !== undefined) {
          dots[number].setAttribute("cx", x(t));
          dots[number].setAttribute("cy", y(value));
        }
      });
    },
  };
};

/* The line of values, broken where a frame has none. */
EB.path = (values, x, y) => {
  let pen = "M";
  return values.map((value, t) => {
    if (value === null) { pen = "M"; return ""; }
    const step = `${pen}${x(t).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
};

/* Three to five round numbers that hold a range. */
EB.ticks = (low, high) => {
  if (!(high > low)) return [low, low + (Math.abs(low) || 1)];
  const rough = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, number) => (first + number) * step);
};
EB.tick = (value, ticks) => {
  const step = ticks[1] - ticks[0];
  const digits = [0, 1, 2, 3, 4, 5].find((count) => Math.abs(step * 10 ** count - Math.round(step * 10 ** count)) < 1e-6);
  return value.toFixed(digits ?? 6);
};
