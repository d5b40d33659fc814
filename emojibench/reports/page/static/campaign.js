"use strict";
/* What `emojibench ablate` and `emojibench accel` wrote: tables of means, without clips to look at. */

EB.views.campaign = () => {
  const { h, state } = EB;
  const page = EB.index.campaigns[Number(state.campaign)];
  if (!page) throw new Error(`This page has no campaign ${state.campaign}.`);
  let tables = 0;
  const part = (block) => {
    if (block.text) return h("p", { class: "legend" }, EB.rich(block.text));
    if (block.heading) return h("h2", {}, block.heading);
    if (block.lines) return h("ul", {}, block.lines.map((line) => h("li", {}, EB.rich(line))));
    tables += 1;
    return EB.plainTable(block, page.notes, `Table ${tables}`);
  };
  return {
    content: [
      h("section", { class: "intro" }, h("h1", {}, page.title)),
      page.parts.map(part),
      page.notes.length > 0 && h("details", { class: "notes", open: page.notes.length <= 6 },
        h("summary", {}, "Why cells are empty"),
        h("ol", {}, page.notes.map((reason, number) => h("li", { id: `note-${number + 1}`, tabindex: "-1" }, EB.prose(reason))))),
    ],
  };
};

/* Text in which `words` between backticks are code, and **words** are strong. */
EB.rich = (text) => text.split("**").map((part, number) => (number % 2 ? EB.h("strong", {}, part) : EB.prose(part)));

/* A table that is no leaderboard: the first column names the rows; a column with numbers sorts them. */
EB.plainTable = (block, notes, name) => {
  const { h } = EB;
  const body = h("tbody", {});
  const row = (cells) => h("tr", {}, cells.map((cell, place) => (place ? EB.plainCell(cell, notes) : h("th", { scope: "row" }, cell.text))));
  const heads = block.columns.map(({ title, better }, place) => {
    if (!block.rows.some((cells) => cells[place].value !== undefined)) return h("th", { scope: "col" }, title);
    const arrow = h("span", { class: "arrow", "aria-hidden": "true" });
    const head = h("th", { scope: "col" }, h("button", { type: "button", class: "sort", onclick: () => sort(place, better) }, title, arrow));
    return head;
  });
  let sorted = [-1, 0];
  const show = (rows) => body.replaceChildren(...rows.map(row));
  const sort = (place, better) => {
    const first = better === "higher" ? -1 : 1;
    const way = sorted[0] === place ? -sorted[1] : first;
    sorted = [place, way];
    const value = (cells) => cells[place].value;
    const known = block.rows.filter((cells) => value(cells) !== undefined).sort((a, b) => way * (value(a) - value(b)));
    heads.forEach((head, number) => {
      const arrow = head.querySelector(".arrow");
      if (arrow) arrow.textContent = number === place ? (way > 0 ? "▲" : "▼") : "";
      if (number === place) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    show([...known, ...block.rows.filter((cells) => value(cells) === undefined)]);
  };
  show(block.rows);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name },
    h("table", { class: "plain-table" }, h("thead", {}, h("tr", {}, heads)), body));
};

EB.plainCell = (cell, notes) => {
  const { h } = EB;
  const marks = (cell.notes || []).map((note) => h("button", {
    type: "button", class: "mark", title: notes[note], "aria-label": `Note ${note + 1}: ${notes[note]}`, onclick: () => EB.showNote(note + 1),
  }, note + 1));
  const [mean, interval] = cell.value === undefined ? [cell.text] : cell.text.split(/ (?=\[)/);
  return h("td", { class: cell.best ? "best" : null }, h("span", { class: "mean" }, mean), interval && h("span", { class: "interval" }, interval),
    cell.lacks && h("span", { class: "lacks" }, ` (${cell.lacks})`), marks);
};

/* Links to all of them, on the leaderboard. */
EB.campaigns = () => EB.index.campaigns.length > 0 && EB.h("section", { class: "campaigns" },
  EB.h("h2", {}, "Campaigns"),
  EB.h("ul", {}, EB.index.campaigns.map((page, number) => EB.h("li", {}, EB.h("a", { href: EB.hash({ view: "campaign", campaign: number }) }, page.title)))));
