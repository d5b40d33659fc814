"use strict";
/* The clips behind one cell: all values of a run in a column, the worst first. */

EB.views.clips = async () => {
  const { h, state } = EB;
  const track = EB.track();
  const number = EB.runNumber(track, state.run);
  const run = track.runs[number];
  const data = await EB.load(run.file);
  const names = track.columns[run.split].map((column) => column.name).filter((name) => data.columns[name]);
  const name = EB.clipColumn(track, run, data);
  const list = EB.listed(track, run, data, name);
  const domains = [...new Set(data.domains)].filter(Boolean).sort();
  const content = [
    h("section", { class: "intro" },
      h("h1", {}, EB.label(track, number), h("span", { class: "aside" }, ` ${run.split} reenactment`)),
      h("p", {}, `${EB.plural(data.clips.length, "clip")} of ${track.dataset.name}`,
        name && `, ordered by ${EB.heading(EB.column(track, run.split, name))}`,
        ". Each picture is the portrait and the frame that is furthest from the truth.")),
    EB.unplayed(data),
    h("form", { class: "choices", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
      EB.choice("Method", "run", EB.sameSplit(track, run.split).map((one) => [EB.runName(track, one), EB.label(track, one)]), EB.runName(track, number)),
      name && EB.choice("Metric", "column", names.map((one) => [one, EB.heading(EB.column(track, run.split, one))]), name),
      name && EB.choice("Order", "list", [["worst", "worst first"], ["best", "best first"]], state.list),
      domains.length > 1 && EB.choice("Domain", "domain", [["", "all"], ...domains.map((one) => [one, one])], state.domain)),
    name ? EB.profile(list) : EB.notice("This run has values of the whole set only, none of single clips."),
    list.known.length || list.unknown.length ? null : EB.notice("No clip of this domain is in the run."),
    h("ol", { class: "cards" }, list.known.map((clip) => EB.card(track, run, data, name, clip))),
    list.unknown.length > 0 && h("section", {},
      h("h2", {}, "Without a value"),
      h("ol", { class: "cards" }, list.unknown.map((clip) => EB.card(track, run, data, name, clip)))),
  ];
  const filling = EB.filling();
  return { content, open: filling.open, close: filling.close };
};

/* Thumbnails are loaded a dozen cards at a time, before they come into sight: a thousand pictures that each watch for
   that themselves (`loading=lazy`), or cards that do (`content-visibility`), cost more in every frame of scrolling than
   they save. */
EB.filling = () => {
  const step = 12;
  const observer = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      let card = target;
      for (let count = 0; card && count < step; count += 1, card = card.nextElementSibling)
        for (const picture of card.querySelectorAll("img")) picture.src = picture.dataset.source;
    }
  }, { rootMargin: "2000px 0px" });
  return {
    open: () => {
      for (const list of document.querySelectorAll(".cards"))
        for (let first = 0; first < list.children.length; first += step) observer.observe(list.children[first]);
    },
    close: () => observer.disconnect(),
  };
};

/* The runs of a split, by number. */
EB.sameSplit = (track, split) => track.runs.map((_, number) => number).filter((number) => track.runs[number].split === split);

/* The column that the state names, where the run has values of clips in it; else the first that has some. */
EB.clipColumn = (track, run, data) => {
  if (data.columns[EB.state.column]) return EB.state.column;
  const first = track.columns[run.split].find((column) => data.columns[column.name] && column.better !== "none");
  return first ? first.name : "";
};

/* Clips of the chosen domain in order, and those without a value apart; indices into the run's lists. */
EB.listed = (track, run, data, name) => {
  const { state } = EB;
  const indices = data.clips.map((_, index) => index)
    .filter((index) => !state.domain || !data.domains.includes(state.domain) && !track.domains.includes(state.domain) || data.domains[index] === state.domain);
  if (!name) return { known: indices, unknown: [], column: null };
  const { values } = data.columns[name];
  const column = EB.column(track, run.split, name);
  const sign = (column.better === "higher" ? 1 : -1) * (state.list === "worst" ? 1 : -1);
  const known = indices.filter((index) => values[index] !== null).sort((a, b) => sign * (values[a] - values[b]) || a - b);
  return { known, unknown: indices.filter((index) => values[index] === null), values, column, decimals: data.columns[name].decimals };
};

/* Which files are missing, where clips cannot be played. */
EB.unplayed = (data) => {
  const reasons = new Map();
  for (const number of Object.values(data.absent)) reasons.set(number, (reasons.get(number) || 0) + 1);
  if (!reasons.size) return null;
  const total = Object.keys(data.absent).length;
  const [first] = [...reasons].sort((a, b) => b[1] - a[1]);
  return EB.notice(`${EB.plural(total, "clip")} of ${data.clips.length} cannot be played: `, EB.h("q", {}, data.reasons[first[0]]),
    reasons.size > 1 ? `, and ${EB.plural(reasons.size - 1, "other reason")} told at the clips.` : ".");
};

/* All values at one glance, in the order of the cards. */
EB.profile = ({ known, values, column, decimals }) => {
  if (known.length < 2) return null;
  const [low, high] = [Math.min(0, ...known.map((index) => values[index])), Math.max(...known.map((index) => values[index]))];
  const width = 1000 / known.length;
  const height = (index) => 60 * (values[index] - low) / (high - low || 1);
  return EB.h("figure", { class: `profile ${known.length < 30 ? "few" : ""}` },
    EB.svg("svg", { viewBox: "0 0 1000 60", preserveAspectRatio: "none", role: "img", "aria-label": `${column.title} of ${known.length} clips, from ${EB.number(values[known[0]], decimals)} to ${EB.number(values[known.at(-1)], decimals)}` },
      known.map((index, place) => EB.svg("rect", { x: place * width, width: Math.max(width - 1, width * 0.7), y: 60 - height(index), height: height(index) }))),
    EB.h("figcaption", {}, EB.h("span", {}, EB.number(values[known[0]], decimals)), EB.h("span", {}, `${column.title}${column.unit ? `, ${column.unit}` : ""}`), EB.h("span", {}, EB.number(values[known.at(-1)], decimals))));
};

EB.card = (track, run, data, name, index) => {
  const { h } = EB;
  const clip = data.clips[index];
  const value = name ? data.columns[name].values[index] : null;
  const why = name && value === null ? data.reasons[data.columns[name].why[index]] : null;
  const [portrait, frame] = [data.shared[index], data.animations[index]].map((file) => file && `media/${file.slice(2)}-thumb.webp`);
  return h("li", {},
    h("a", { class: "card", href: EB.hash({ view: "clip", clip, t: 0, column: name }) },
      h("span", { class: "pair" }, EB.thumbnail(portrait), EB.thumbnail(frame)),
      h("span", { class: "value" }, name ? EB.number(value, data.columns[name].decimals) : ""),
      h("span", { class: "name" }, clip),
      h("span", { class: "about" }, [data.domains[index], data.subjects[index]].filter(Boolean).map(EB.name).join(" · ")),
      why && h("span", { class: "about" }, why)));
};

EB.thumbnail = (source) => source
  ? EB.h("img", { "data-source": source, width: 112, height: 112, alt: "", decoding: "async" })
  : EB.h("span", { class: "blank", "aria-hidden": "true" });
