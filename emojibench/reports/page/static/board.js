"use strict";
/* The leaderboard: methods down, columns across, each cell a link to its clips. */

EB.views.board = () => {
  const { h, state } = EB;
  const track = EB.track();
  const splits = EB.splits(track);
  const chosen = splits.includes(state.split) ? [state.split] : splits;
  const domain = track.domains.includes(state.domain) ? state.domain : "";
  const columns = chosen.flatMap((split) =>
    track.columns[split]
      .filter((column) => state.columns === "all" || column.paper)
      .map((column) => ({ ...column, split, key: `${split}:${column.name}` })));
  const footnotes = new Map();
  const content = [
    h("section", { class: "intro" },
      h("h1", {}, "Leaderboard"),
      h("p", {}, `Dataset ${track.dataset.name}, version ${track.dataset.version}, up to ${track.protocol.frames} frames at ` +
        `${track.protocol.size}×${track.protocol.size} pixels, protocol ${track.protocol.id}. ` +
        "Every number leads to its clips, the worst first.")),
    EB.leftOut(),
    h("form", { class: "choices", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
      EB.index.tracks.length > 1 && EB.choice("Track", "track",
        EB.index.tracks.map((one) => [one.name, `${one.dataset.name} ${one.dataset.version}, ${one.protocol.id}`]), track.name),
      EB.choice("Split", "split", [["", "all"], ...splits.map((split) => [split, split])], state.split),
      track.domains.length > 0 && EB.choice("Domain", "domain", [["", "all"], ...track.domains.map((one) => [one, one])], domain),
      EB.choice("Columns", "columns", [["paper", "the paper's Table 1"], ["all", "all"]], state.columns)),
    h("section", { "aria-label": "Measured" },
      h("h2", {}, "Measured", domain && h("span", { class: "aside" }, ` on clips of ${domain}`)),
      EB.measured(track, domain, columns, footnotes),
      EB.footnotes(track, footnotes),
      h("p", { class: "legend" },
        "Mean and 95 % interval over portraits; the mark below shows both on the column's scale. ",
        h("b", {}, "Bold"), ": better than every other row on the same clips, and the paired difference excludes a tie; ",
        "costs and incomplete means never are. (3 of 4): clips that have a value. N: clips behind a value of the whole ",
        "set. –: no value, for the numbered reason.")),
    EB.campaigns(),
    EB.published(),
    EB.provenance(track),
  ];
  return { content };
};

EB.leftOut = () => EB.index.left_out.length > 0 && EB.notice(
  `Left out, not finished when this page was made: ${EB.index.left_out.join(", ")}.`);

EB.measured = (track, domain, columns, footnotes) => {
  const { h } = EB;
  const rows = EB.sorted(track.views[domain], columns);
  const groups = EB.grouped(columns);
  const scales = new Map(columns.map((column) => [column.key, EB.scale(rows, column)]));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Measured table" },
    h("table", { class: "board" },
      h("thead", {},
        h("tr", { class: "groups" }, h("td", {}),
          [...groups].map(([split, own]) => h("th", { scope: "colgroup", colspan: own.length },
            { self: "Self reenactment", cross: "Cross reenactment" }[split]))),
        h("tr", {}, EB.sorter("Method", "", "none"), columns.map((column) => EB.sorter(EB.heading(column), column.key, column.better, column.unit)))),
      h("tbody", {}, rows.map((entry) => h("tr", {},
        h("th", { scope: "row" }, entry.label, h("span", { class: "count" }, EB.counts(entry, [...groups.keys()]))),
        columns.map((column) => EB.cell(track, entry, column, footnotes, scales.get(column.key))))))));
};

EB.grouped = (columns) => {
  const groups = new Map();
  for (const column of columns) groups.set(column.split, [...(groups.get(column.split) || []), column]);
  return groups;
};

EB.counts = (entry, splits) => splits.filter((split) => entry.runs[split]).map((split) => {
  const run = entry.runs[split];
  return `${split}: ${run.partial ? `partial, ${run.partial}` : EB.plural(run.clips, "clip")}`;
}).join("; ");

/* A column heading that sorts; the state of sorting is told to screen readers. */
EB.sorter = (text, key, better, unit) => {
  const { h, state } = EB;
  const active = state.sort === key;
  const order = active && state.order === "best" ? "worst" : "best";
  const rising = (better === "higher") === (state.order === "worst");
  return h("th", { scope: "col", "aria-sort": active ? (rising ? "ascending" : "descending") : null, title: unit || null },
    h("button", { type: "button", class: "sort", "data-field": `sort ${key}`, onclick: () => EB.go({ sort: key, order }) },
      text, h("span", { class: "arrow", "aria-hidden": "true" }, active ? (rising ? "▲" : "▼") : "")));
};

/* Rows by one column: the best or the worst first, those without a value last, whatever the order. */
EB.sorted = (entries, columns) => {
  const { sort, order } = EB.state;
  const column = columns.find((one) => one.key === sort);
  const sign = order === "best" ? 1 : -1;
  if (!column) return order === "best" ? entries : [...entries].reverse();
  const value = (entry) => entry.runs[column.split]?.cells[column.name]?.value;
  const direction = column.better === "higher" ? -sign : sign;
  const known = entries.filter((entry) => value(entry) !== undefined);
  known.sort((a, b) => direction * (value(a) - value(b)));
  return [...known, ...entries.filter((entry) => value(entry) === undefined)];
};

/* The range that a column's intervals span. */
EB.scale = (rows, column) => {
  const ends = rows.map((entry) => entry.runs[column.split]?.cells[column.name])
    .filter((cell) => cell && cell.value !== undefined)
    .flatMap((cell) => [cell.low ?? cell.value, cell.high ?? cell.value]);
  return [Math.min(...ends), Math.max(...ends)];
};

EB.cell = (track, entry, column, footnotes, scale) => {
  const { h } = EB;
  const run = entry.runs[column.split];
  const cell = run ? run.cells[column.name] : { text: "–" };
  const reasons = run ? (cell.notes || []).map((note) => track.notes[note]) : [`no ${column.split} run of this method`];
  const marks = reasons.map((reason) => {
    if (!footnotes.has(reason)) footnotes.set(reason, footnotes.size + 1);
    const number = footnotes.get(reason);
    return h("button", { type: "button", class: "mark", title: reason, "aria-label": `Note ${number}: ${reason}`, onclick: () => EB.showNote(number) }, number);
  });
  if (cell.value === undefined) return h("td", { class: "none" }, "–", marks);
  const [mean, interval] = cell.text.split(/ (?=\[)/);
  const label = `${entry.label}, ${column.split} ${column.title}: ${cell.text}${cell.lacks ? `, ${cell.lacks}` : ""}; show its clips`;
  return h("td", { class: cell.best ? "best" : null },
    h("a", { class: "cell", "aria-label": label, href: EB.hash({ view: "clips", run: EB.runName(track, run.run), column: column.name, clip: "", t: 0 }) },
      h("span", { class: "mean" }, mean), interval && h("span", { class: "interval" }, interval),
      cell.lacks && h("span", { class: "lacks" }, `(${cell.lacks})`),
      EB.strip(cell, scale)),
    marks);
};

/* A cell's interval, drawn on the scale of its column. */
EB.strip = (cell, [low, high]) => {
  if (!(high > low)) return null;
  const at = (value) => 2 + 76 * (value - low) / (high - low);
  return EB.svg("svg", { class: "strip", viewBox: "0 0 80 8", width: 80, height: 8, "aria-hidden": "true" },
    EB.svg("line", { class: "track", x1: 0, x2: 80, y1: 4, y2: 4 }),
    cell.low !== undefined && EB.svg("line", { class: "range", x1: at(cell.low), x2: at(cell.high), y1: 4, y2: 4 }),
    EB.svg("circle", { cx: at(cell.value), cy: 4, r: 2.6 }));
};

EB.footnotes = (track, footnotes) => {
  const { h } = EB;
  if (!footnotes.size) return null;
  return h("details", { class: "notes", open: footnotes.size <= 4 },
    h("summary", {}, "Notes"),
    h("ol", {}, [...footnotes].map(([reason, number]) => h("li", { id: `note-${number}`, tabindex: "-1" }, EB.prose(reason)))));
};
EB.showNote = (number) => {
  const note = document.getElementById(`note-${number}`);
  note.closest("details").open = true;
  note.scrollIntoView({ block: "center" });
  note.focus({ preventScroll: true });
};

/* The paper's own figures stand apart: another protocol, so never in one order with measured ones. */
EB.published = () => {
  const { h } = EB;
  const table = EB.index.published;
  return h("section", { class: "published" },
    h("h2", {}, "Published"),
    h("p", {}, h("b", {}, "Not comparable with the rows above"), ": other data, another protocol. As printed, digit by digit, and never ranked together with measured rows."),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Published table" },
      h("table", {},
        h("thead", {}, h("tr", {}, ["Row", "Printed as", ...table.columns].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, table.rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((text) => h("td", {}, text))))))),
    h("details", { class: "notes" }, h("summary", {}, "Setting, source and what does not add up in print"),
      h("p", {}, `${table.title}; ${table.setting}. Source: ${table.source}.`),
      h("ul", {}, table.notes.map((note) => h("li", {}, EB.prose(note))))));
};

EB.provenance = (track) => {
  const { h } = EB;
  const titles = ["Run", "Method", "Split", "Revision", "Options", "Seed", "Clips", "Commit", "Device"];
  const rows = track.runs.some((run) => run.receipt); // of a leaderboard, not runs of one's own
  if (rows) titles.push("Receipt");
  const options = (run) => Object.entries(run.options).map(([name, value]) => `${name}=${value}`).join(", ") || "none";
  return h("details", { class: "notes" },
    h("summary", {}, "Where the measured numbers come from"),
    h("p", {}, `Dataset digest ${track.dataset.digest}; landmark detector ${track.protocol.detector}; ${track.protocol.aggregation}.`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs" },
      h("table", {}, h("thead", {}, h("tr", {}, titles.map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, track.runs.map((run) => h("tr", {}, h("th", { scope: "row" }, run.name),
          [run.method, run.split, run.revision, options(run), run.seed, run.clips,
            (run.commit || "no git") + (run.dirty ? " with changes" : ""), run.device, ...(rows ? [run.receipt] : [])].map((text) => h("td", {}, String(text)))))))));
};
