"use strict";
/* One clip: portrait, driving, landmarks, truth and every method in step, with error maps and per-frame curves. */

EB.views.clip = async () => {
  const { h, state } = EB;
  const track = EB.track();
  const chosen = EB.runNumber(track, state.run);
  const run = track.runs[chosen];
  const own = await EB.load(run.file);
  const place = own.clips.indexOf(state.clip);
  if (place < 0) throw new Error(`The run ${run.name} has no clip ${state.clip}.`);
  const methods = await EB.methodsOf(track, run.split, state.clip, chosen);
  const shared = methods.map((one) => one.shared).find(Boolean);
  const [common] = await Promise.all([shared ? EB.load(shared) : null, ...methods.map(EB.loadAnimation)]);
  const player = new EB.Player(track, run, common, methods);
  const name = EB.clipColumn(track, run, own);
  const { known, unknown } = EB.listed(track, run, own, name);
  const order = [...known, ...unknown];
  const at = order.indexOf(place);
  const step = (way, text, label) => {
    const index = order[at + way];
    return index === undefined || at < 0 ? h("span", { class: "step off" }, text)
      : h("a", { class: "step", href: EB.hash({ clip: own.clips[index], t: 0 }), "aria-label": label }, text);
  };
  const content = [
    h("section", { class: "intro clip" },
      h("h1", {}, state.clip),
      h("p", {}, [run.split === "self" ? "self reenactment" : "cross reenactment", EB.name(own.domains[place]),
        own.subjects[place] && `portrait of ${EB.name(own.subjects[place])}`,
        common && run.split === "cross" && common.driven_by && `driven by ${EB.name(common.driven_by)}`].filter(Boolean).join(" · ")),
      h("nav", { class: "steps", "aria-label": "Clips" }, step(-1, "← Previous", "Previous clip of the list"),
        h("span", { class: "aside" }, at < 0 ? "" : `${at + 1} of ${order.length}, ${state.list} first`), step(1, "Next →", "Next clip of the list"))),
    ...player.elements(),
    EB.clipValues(track, run.split, methods),
  ];
  return { content, open: () => player.open(), close: () => player.close() };
};

/* Every method of a split, with its data of one clip; the chosen one first. */
EB.methodsOf = async (track, split, clip, chosen) => {
  const numbers = EB.sameSplit(track, split).sort((a, b) => (b === chosen) - (a === chosen));
  const methods = await Promise.all(numbers.map(async (number) => {
    const data = await EB.load(track.runs[number].file);
    const place = data.clips.indexOf(clip);
    if (place < 0) return null;
    return {
      label: EB.label(track, number), colour: `c${EB.sameSplit(track, split).indexOf(number) % 8}`, data, place,
      shared: data.shared[place], file: data.animations[place],
      absent: place in data.absent ? data.reasons[data.absent[place]] : "",
    };
  }));
  return methods.filter(Boolean);
};
EB.loadAnimation = async (method) => {
  try {
    method.animation = method.file ? await EB.load(method.file) : null;
  } catch (error) {
    method.absent = error.message;
  }
};

EB.Player = class {
  constructor(track, run, common, methods) {
    const { state } = EB;
    Object.assign(this, { track, run, common, methods, playing: false });
    const hidden = new Set(state.hide ? state.hide.split(",") : []);
    for (const method of methods) method.hidden = hidden.has(method.label);
    const counts = [...methods.map((one) => one.animation?.frames.count), common?.landmarks?.count, common?.truth?.count];
    this.frames = Math.max(1, ...counts.filter(Boolean));
    this.fps = methods.map((one) => one.animation?.fps).find(Boolean) || common?.fps || 25;
    this.scoredFrom = common?.scored_from || 0;
    this.t = Math.max(0, Math.min(this.frames - 1, Number.parseInt(state.t, 10) || 0));
    this.keys = (event) => this.key(event);
  }

  open() {
    document.addEventListener("keydown", this.keys);
    this.show(this.t);
  }

  close() {
    this.playing = false;
    document.removeEventListener("keydown", this.keys);
  }

  elements() {
    const { h, state } = EB;
    const { common, methods } = this;
    const absent = common?.absent || {};
    const whyNone = methods.every((one) => !one.animation) ? "no run here has frames of this clip" : "the dataset's data file is missing";
    const input = (title, kind) => EB.panel(title, common?.[kind], absent[kind] || whyNone, "input");
    const truth = EB.panel(this.run.split === "self" ? "Truth (driving video)" : "Truth", common?.truth, absent.truth || whyNone, "truth");
    const inputs = [input("Portrait", "portrait"), this.run.split === "cross" && input("Driving", "driving"), input("Landmarks", "landmarks")].filter(Boolean);
    const points = inputs.at(-1).sheets;
    this.panels = [...inputs, truth];
    this.panels.forEach((panel) => { panel.overlay = null; });
    truth.overlay = points;
    const figures = methods.map((method) => this.method(method, points));
    this.figures = h("div", { class: "methods" }, this.truthFigure(truth), figures);
    this.figures.classList.toggle("plain", state.errors !== "1");
    for (const panel of this.panels) panel.ready.then(() => this.show(this.t));
    this.buildCharts();
    const missing = methods.filter((one) => !one.animation);
    return [
      missing.length > 0 && EB.notice("Not played: ", this.reasons(missing), "."),
      h("div", { class: "stage" }, h("div", { class: "inputs" }, inputs.map((panel) => panel.element)), this.figures),
      this.controls(),
      this.readout(),
      h("div", { class: "charts" }, this.charts.map((chart) => chart.element)),
      h("p", { class: "legend" }, "Curves and error maps are computed from the stored frames and landmarks when the page is made, before pictures are compressed; ",
        "metrics that need networks are not computed again. ", this.scoredFrom > 0 && "Frame 1 is the portrait itself and is not scored. ",
        this.scaled(), "Space plays, ← → step, Home and End jump; point at a curve to go there."),
    ];
  }

  /* Why methods are not played, each reason once. */
  reasons(missing) {
    const methods = new Map();
    for (const { absent, label } of missing) methods.set(absent || "no data", [...(methods.get(absent || "no data") || []), label]);
    return [...methods].map(([reason, labels], number) => {
      const more = labels.length > 4 ? ` and ${labels.length - 3} more methods` : "";
      const named = more ? labels.slice(0, 3) : labels;
      return [number ? "; " : "", named.map((label, place) => [place ? ", " : "", EB.h("b", {}, EB.name(label))]), `${more}, ${reason}`];
    });
  }

  scaled() {
    const large = this.methods.map((one) => one.animation).find((one) => one && one.size[0] > one.frames.side);
    return large ? `Frames of ${large.size[0]} pixels are shown at ${large.frames.side}. ` : "";
  }

  truthFigure(truth) {
    const { h } = EB;
    truth.element.append(h("div", { class: "scale", role: "img", "aria-label": "Colours of the error maps: from black, no error, to light yellow, an error of 0.25 or more" },
      h("span", {}, "0"), h("i", {}), h("span", {}, "≥ 0.25"), h("p", {}, "mean absolute error over the channels")));
    return truth.element;
  }

  method(method, points) {
    const { h } = EB;
    const about = method.animation;
    const panel = EB.panel(method.label, about?.frames, method.absent, `method ${method.colour}`);
    panel.overlay = points;
    this.panels.push(panel);
    const errors = EB.panel(`Error of ${method.label}`, about?.errors, about?.absent.errors || method.absent, "errors");
    this.panels.push(errors);
    panel.element.append(errors.element.firstChild);
    panel.element.hidden = method.hidden;
    method.element = panel.element;
    panel.element.dataset.label = method.label;
    return panel.element;
  }

  buildCharts() {
    const played = this.methods.filter((one) => one.animation && !one.hidden);
    this.charts = EB.curves.map(([name, title, unit]) => {
      const lines = played.filter((one) => one.animation.curves[name])
        .map((one) => ({ label: one.label, colour: one.colour, values: one.animation.curves[name] }));
      return lines.length ? EB.chart(title, unit, lines, this.frames, this.scoredFrom, (t) => this.seek(t)) : null;
    }).filter(Boolean);
  }

  controls() {
    const { h, state } = EB;
    this.button = h("button", { type: "button", class: "play", "aria-label": "Play", onclick: () => this.toggle() }, "▶");
    this.slider = h("input", { type: "range", min: 0, max: this.frames - 1, step: 1, value: this.t, "aria-label": "Frame", oninput: () => this.seek(Number(this.slider.value)) });
    this.counter = h("output", { class: "counter" });
    const toggle = (label, field) => h("label", { class: "chip" },
      h("input", { type: "checkbox", checked: state[field] === "1", onchange: (event) => this.option(field, event.target.checked ? "1" : "0") }), label);
    const speed = h("select", { "aria-label": "Speed", onchange: (event) => { EB.note({ speed: event.target.value }); this.began = null; } },
      [["1", "1×"], ["0.5", "½×"], ["0.25", "¼×"]].map(([key, text]) => h("option", { value: key, selected: key === state.speed }, text)));
    return [
      h("div", { class: "transport", role: "group", "aria-label": "Player" }, this.button, this.slider, this.counter, speed),
      h("div", { class: "chips", role: "group", "aria-label": "What is shown" }, toggle("Error maps", "errors"), toggle("Landmarks on frames", "points"),
        this.methods.length > 1 && this.methods.map((method) => h("label", { class: `chip ${method.colour}` },
          h("input", { type: "checkbox", checked: !method.hidden, onchange: (event) => this.hide(method, !event.target.checked) }), h("i", { class: "swatch" }), method.label))),
    ];
  }

  option(field, value) {
    EB.note({ [field]: value });
    this.figures.classList.toggle("plain", EB.state.errors !== "1");
    this.show(this.t);
  }

  hide(method, hidden) {
    method.hidden = hidden;
    method.element.hidden = hidden;
    EB.note({ hide: this.methods.filter((one) => one.hidden).map((one) => one.label).join(",") });
    const old = this.charts[0]?.element.parentNode;
    this.buildCharts();
    if (old) old.replaceChildren(...this.charts.map((chart) => chart.element));
    this.table.replaceWith(this.readout());
    this.show(this.t);
  }

  /* The values at this frame, in step with the pictures. */
  readout() {
    const { h } = EB;
    const curves = EB.curves.filter(([name]) => this.methods.some((one) => one.animation?.curves[name]));
    this.cells = [];
    this.table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Values of this frame" },
      curves.length > 0 && h("table", { class: "readout" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "At this frame"), curves.map(([, title]) => h("th", { scope: "col" }, title)), h("th", { scope: "col" }, "Worst frame"))),
        h("tbody", {}, this.methods.filter((one) => one.animation && !one.hidden).map((method) => h("tr", {},
          h("th", { scope: "row" }, h("i", { class: `swatch ${method.colour}` }), method.label),
          curves.map(([name, , , decimals]) => {
            const cell = h("td", {});
            this.cells.push([cell, method.animation.curves[name], decimals]);
            if (!method.animation.curves[name]) cell.title = method.animation.absent[name] || "";
            return cell;
          }),
          h("td", {}, this.worst(method)))))));
    return this.table;
  }

  worst(method) {
    const values = method.animation.curves.l1 || method.animation.curves.nme;
    if (!values) return "–";
    const t = values.reduce((best, value, index) => (value !== null && (best < 0 || value > values[best]) ? index : best), -1);
    return t < 0 ? "–" : EB.h("button", { type: "button", class: "link", onclick: () => this.seek(t) }, `frame ${t + 1}`);
  }

  /* Draw a frame everywhere at once. */
  show(t) {
    this.t = t;
    const points = EB.state.points === "1";
    for (const panel of this.panels) panel.draw(t, points ? panel.overlay : null);
    for (const chart of this.charts) chart.at(t);
    for (const [cell, values, decimals] of this.cells) cell.textContent = EB.number(values?.[t], decimals);
    this.slider.value = t;
    this.slider.setAttribute("aria-valuetext", `frame ${t + 1} of ${this.frames}`);
    this.counter.textContent = `${t + 1} / ${this.frames} · ${(t / this.fps).toFixed(2)} s`;
  }

  seek(t) {
    this.pause();
    this.show(Math.max(0, Math.min(this.frames - 1, t)));
    EB.note({ t: this.t });
  }

  toggle() {
    if (this.playing) {
      this.pause();
      EB.note({ t: this.t });
      return;
    }
    this.playing = true;
    this.began = null;
    this.button.textContent = "❚❚";
    this.button.setAttribute("aria-label", "Pause");
    requestAnimationFrame((now) => this.tick(now));
  }

  pause() {
    this.playing = false;
    this.button.textContent = "▶";
    this.button.setAttribute("aria-label", "Play");
  }

  tick(now) {
    if (!this.playing) return;
    this.began ??= { now, t: this.t };
    const passed = Math.floor((now - this.began.now) / 1000 * this.fps * Number(EB.state.speed));
    const t = (this.began.t + passed) % this.frames;
    if (t !== this.t) this.show(t);
    requestAnimationFrame((next) => this.tick(next));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const on = event.target;
    const typing = on.matches("select, textarea, input:not([type=range])");
    const acts = { ArrowLeft: () => this.seek(this.t - 1), ArrowRight: () => this.seek(this.t + 1), Home: () => this.seek(0), End: () => this.seek(this.frames - 1), " ": () => this.toggle() };
    if (typing || !acts[event.key]) return;
    if (event.key.startsWith("Arrow") && on.matches(".scroll") && on.scrollWidth > on.clientWidth) return; // it scrolls
    if (event.key === " " && on.matches("button, a, summary") && on !== this.button) return;
    event.preventDefault();
    acts[event.key]();
  }
};

/* The clip's values in every column, a method a column, the best of each row marked by no more than its number. */
EB.clipValues = (track, split, methods) => {
  const { h } = EB;
  const columns = track.columns[split].filter((column) => methods.some((one) => one.data.columns[column.name]));
  const value = (method, column) => {
    const of = method.data.columns[column.name];
    if (!of) return h("td", { class: "none" }, "–");
    const why = of.values[method.place] === null ? method.data.reasons[of.why[method.place]] : null;
    return h("td", { title: why, class: why ? "none" : null }, EB.number(of.values[method.place], of.decimals), why && h("span", { class: "sr" }, why));
  };
  return h("details", { class: "notes", open: true }, h("summary", {}, "Values of this clip"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Values of this clip" },
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Metric"), methods.map((one) => h("th", { scope: "col" }, one.label)), h("th", { scope: "col" }, "Unit"))),
        h("tbody", {}, columns.map((column) => h("tr", {}, h("th", { scope: "row" }, EB.heading(column)), methods.map((one) => value(one, column)), h("td", { class: "unit" }, column.unit)))))));
};
