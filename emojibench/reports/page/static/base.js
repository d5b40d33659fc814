"use strict";
/* Data, state and DOM: what all views share. Names of runs, clips and datasets become text nodes, never markup. */

const EB = { files: new Map(), views: {} };

/* Data files are scripts, because browsers read no JSON from disk; each hands its content to `put`. */
EB.put = (name, content) => {
  const file = EB.files.get(name);
  if (file && file.resolve) file.resolve(content);
  else EB.files.set(name, { promise: Promise.resolve(content) });
  if (name === "index") EB.index = content;
};

/* The content of data/NAME.js, loaded when it is first asked for. */
EB.load = (name) => {
  const known = EB.files.get(name);
  if (known) return known.promise;
  const file = {};
  file.promise = new Promise((resolve, reject) => {
    file.resolve = resolve;
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onload = () => script.remove();
    script.onerror = () => {
      EB.files.delete(name);
      reject(new Error(`data/${name}.js is missing; make the page again with emojibench report --html`));
    };
    document.head.append(script);
  });
  EB.files.set(name, file);
  return file.promise;
};

/* An element: h("a", {class: "x", href: "#", onclick: f}, "text", child, [children]). */
EB.h = (tag, attributes, ...children) => EB.fill(document.createElement(tag), attributes, children);
EB.svg = (tag, attributes, ...children) =>
  EB.fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
EB.fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...EB.present(children));
  return element;
};
/* Children that are there: a condition that does not hold leaves `false` or nothing in a list. */
EB.present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
/* Text in which `words` between backticks are code. */
EB.prose = (text) => text.split("`").map((part, number) => (number % 2 ? EB.h("code", {}, part) : part));

/* The view is in the address, so that a link restores it: #view=clip&run=…&clip=…&t=12 */
EB.defaults = {
  view: "board", track: "", split: "", domain: "", columns: "paper", sort: "", order: "best",
  campaign: "", run: "", column: "", list: "worst", clip: "", t: "0", hide: "", errors: "1", points: "0", speed: "1",
};
EB.read = () => {
  const state = { ...EB.defaults };
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (name in state) state[name] = value;
  return state;
};
EB.hash = (changes) => {
  const wanted = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...EB.state, ...changes }))
    if (String(value) !== EB.defaults[name]) wanted.set(name, value);
  return `#${wanted}`;
};
EB.go = (changes) => { location.hash = EB.hash(changes); };
/* Changes that are no step for the back button: the frame, while somebody moves through a clip. */
EB.note = (changes) => {
  const hash = EB.hash(changes);
  EB.state = { ...EB.state, ...changes };
  try {
    history.replaceState(null, "", hash);
  } catch {
    /* Some browsers forbid it for files; then the address tells the frame of the last step. */
  }
};

/* The track that the state names, else the first. */
EB.track = () => EB.index.tracks.find((track) => track.name === EB.state.track) || EB.index.tracks[0];
EB.splits = (track) => Object.keys(track.columns);
EB.column = (track, split, name) => track.columns[split].find((column) => column.name === name);
EB.heading = (column) => column.title + { higher: " ↑", lower: " ↓", none: "" }[column.better];
/* A run by its name; a second one of the same name is NAME~2. */
EB.runName = (track, number) => {
  const name = track.runs[number].name;
  const same = track.runs.slice(0, number).filter((run) => run.name === name).length;
  return same ? `${name}~${same + 1}` : name;
};
EB.runNumber = (track, name) => {
  const found = track.runs.findIndex((_, number) => EB.runName(track, number) === name);
  return found < 0 ? 0 : found;
};
/* What the leaderboard calls a run. */
EB.label = (track, number) => {
  const entry = track.views[""].find((one) => Object.values(one.runs).some((run) => run.run === number));
  return entry ? entry.label : track.runs[number].method;
};

/* A name inside a sentence: one written from right to left does not turn round what stands beside it. */
EB.name = (text) => (/[\u0590-\u08ff\ufb1d-\ufefc]/.test(text) ? `\u2068${text}\u2069` : text);

EB.number = (value, decimals) => (value === null || value === undefined ? "–" : value.toFixed(decimals));
EB.plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
EB.notice = (...content) => EB.h("p", { class: "notice", role: "status" }, ...content);

/* A labelled choice that changes one field of the state. */
EB.choice = (label, field, options, value) =>
  EB.h("label", { class: "choice" }, EB.h("span", {}, label),
    EB.h("select", { "data-field": field, onchange: (event) => EB.go({ [field]: event.target.value }) },
      options.map(([key, text]) => EB.h("option", { value: key, selected: key === value }, text))));
